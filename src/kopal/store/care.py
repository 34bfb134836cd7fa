"""What the owner does with the store: see how large it is, check it, make it smaller, clear it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kopal.errors import OutputError
from kopal.files import shown
from kopal.store.layout import FILE, opened, opened_to_read, sound, transaction
from kopal.store.lru import give_back, shrink

AT_ONCE = 256
BEFORE_ALL = -(1 << 63)


@dataclass(frozen=True)
class Verified:
    """How many rows a store held, and how many of them were damaged and are gone."""

    rows: int
    damaged: int


@dataclass(frozen=True)
class Pruned:
    """How many rows went, the bytes of the disk that this freed, and those that the store still takes."""

    removed: int
    freed: int
    left: int


def usage(folder: Path) -> tuple[int, int]:
    """(rows, bytes on disk) of the store in a folder; (0, bytes) where it cannot be read."""
    size = _size(folder)
    if not (folder / FILE).is_file():
        return 0, size
    try:
        return _count(sqlite3.connect(folder / FILE, timeout=5)), size
    except sqlite3.Error:
        with suppress(sqlite3.Error, ValueError):
            return _count(opened_to_read(folder)), size
    return 0, size


def _count(opened: sqlite3.Connection) -> int:
    with closing(opened) as connection:
        return int(connection.execute("SELECT count(*) FROM kept").fetchone()[0])


def verify(folder: Path) -> Verified:
    """Check every row, and delete what is damaged: it is computed anew. Raises `OutputError` beyond that remedy."""
    if not (folder / FILE).is_file():
        return Verified(0, 0)
    with _in_care(folder) as connection:
        rows, damaged = _examined(connection)
        if damaged or not _whole(connection):
            connection.execute("REINDEX")  # a damaged key is not where the index looks for it
            with transaction(connection):
                for table in ("kept", "used"):
                    connection.executemany(f"DELETE FROM {table} WHERE id = ?", ((number,) for number in damaged))  # noqa: S608
            if not _whole(connection):
                raise sqlite3.DatabaseError("pages of it are damaged")
    return Verified(rows, len(damaged))


def prune(folder: Path, size: int) -> Pruned:
    """Make the store at most `size` bytes large, without the rows last used longest ago. Raises `OutputError`."""
    before = _size(folder)
    if not (folder / FILE).is_file():
        return Pruned(0, 0, before)
    with _in_care(folder) as connection:
        with transaction(connection):  # after damage the two tables may tell of different rows
            connection.execute("DELETE FROM used WHERE id NOT IN (SELECT id FROM kept)")
            connection.execute("INSERT OR IGNORE INTO used SELECT id, 0 FROM kept")
        removed = shrink(connection, size)
        give_back(connection, size)
    left = _size(folder)
    return Pruned(removed, max(0, before - left), left)


def clear(folder: Path) -> int:
    """Delete the store's files and nothing else; returns the bytes freed. Raises `OutputError`."""
    freed = 0
    for path in _files(folder):
        try:
            size = path.stat().st_size
            path.unlink()
            freed += size
        except OSError as error:
            raise OutputError(
                f"cannot delete {path}: {error.strerror}",
                "a cache that no other process holds open",
                "end that process",
            ) from error
    return freed


def _examined(connection: sqlite3.Connection) -> tuple[int, list[int]]:
    """How many rows there are, and which of them are damaged."""
    rows, damaged, last = 0, [], BEFORE_ALL
    command = "SELECT id, key, checksum, data FROM kept WHERE id > ? ORDER BY id LIMIT ?"
    while some := connection.execute(command, (last, AT_ONCE)).fetchall():
        rows, last = rows + len(some), some[-1][0]
        damaged += [number for number, key, checksum, data in some if not sound(key, checksum, data)]
    return rows, damaged


def _whole(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds its own structures in order, the index among them."""
    return bool(connection.execute("PRAGMA integrity_check(1)").fetchall() == [(b"ok",)])


@contextmanager
def _in_care(folder: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(opened(folder)) as connection:
            yield connection
    except sqlite3.Error as error:
        if type(error) is sqlite3.DatabaseError:
            raise OutputError(
                f"{shown(folder / FILE)} is damaged: {error}",
                "a file that SQLite can make sense of",
                "kopal cache --clear starts a new one; what was in it is computed again",
            ) from error
        raise OutputError(
            f"cannot work on {shown(folder / FILE)}: {error}",
            "a cache that may be written to, with some space left",
            "make it writable, or free some space",
        ) from error
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot open {shown(folder / FILE)}: {error}", "kopal's own cache", "see KOPAL_CACHE"
        ) from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return [path for suffix in ("", "-wal", "-shm", "-journal") if (path := folder / (FILE + suffix)).is_file()]
