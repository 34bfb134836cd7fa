"""The store's file: one SQLite database, how it is opened whatever is found there, and what shows damage.

    kept   id, key, checksum, data   a row of numbers under the digest of its photo and of what made it
    used   id, at                    when that row was last of use, in seconds since 1970

`used` is a table of its own because a wide row would be written anew, pages and all, for every time it is read.
SQLite notices a page that makes no sense, and takes any other for sound: the checksum notices the rest.
"""

from __future__ import annotations

import errno
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kopal.store.place import NOWHERE

FILE = "store.sqlite"
VERSION = 2
"""Raised whenever the tables change, or the meaning of what is in them: a file of another version is begun anew."""
KOPAL = int.from_bytes(b"kopa", "big")
PAGE = 16384
"""Three rows of 1280 features fill a page of this size; in SQLite's 4096 bytes each would be torn in two."""
WAIT = 30.0
SHARING_ATTEMPTS = 100
KEY = 32

TABLES = (
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, checksum BLOB NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE used (id INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
)
FIRST_LAYOUT = [b"key", b"data", b"checksum"]
"""The columns of `features`, the only table of a store that bore no version."""


def opened(folder: Path) -> sqlite3.Connection:
    """The store of a folder, made where there is none. Raises `sqlite3.Error`, `OSError`, and `ValueError`."""
    if folder == NOWHERE:
        raise FileNotFoundError(errno.ENOENT, "there is no home folder to keep it in")
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.text_factory = bytes  # a damaged row may have become text that is none
        if not _current(connection):
            _begin(connection)
        _share(connection)
        # A crash of the machine may cost the last batches, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA secure_delete = OFF")  # some systems write zeros over all that is deleted
    except BaseException:
        connection.close()
        raise
    return connection


def opened_to_read(folder: Path) -> sqlite3.Connection:
    """The store of a folder that may not be written to. Raises `sqlite3.Error` and `ValueError`.

    As if nobody else wrote to it either: what another process is writing now may not be found.
    """
    address = f"{(folder / FILE).absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.text_factory = bytes
        if not _current(connection):
            raise ValueError("it is of another version of kopal")
    except BaseException:
        connection.close()
        raise
    return connection


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """A number that SQLite keeps of the file."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the block, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have taken it back already
            connection.execute("ROLLBACK")
        raise


def seal(key: bytes, data: bytes) -> bytes:
    """The checksum of a row: of its numbers, and of whose they are."""
    return hashlib.blake2b(data, key=key, digest_size=8).digest()


def sound(key: object, checksum: object, data: object) -> bool:
    """Whether a row is as it was written; in a damaged one anything may stand."""
    if not (isinstance(key, bytes) and len(key) == KEY and isinstance(data, bytes)):
        return False
    return seal(key, data) == checksum


def _begin(connection: sqlite3.Connection) -> None:
    """Empty tables in place of whatever another version has kept. Raises `ValueError` for what is not kopal's."""
    tables = _tables(connection)
    if tables:  # the size of a page cannot change while the file is shared
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(connection):
        tables = _tables(connection)
        if not _current(connection):  # no other process was faster
            columns = [row[1] for row in connection.execute("PRAGMA table_info(features)")]
            first = tables == [b"features"] and columns == FIRST_LAYOUT
            if tables and not first and pragma(connection, "application_id") != KOPAL:
                raise ValueError(f"{FILE} is there and is not kopal's")
            for name in tables:
                connection.execute(f'DROP TABLE "{name.decode()}"')
            for table in TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {KOPAL}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    if tables:
        with suppress(sqlite3.OperationalError):  # another process is reading: then the file stays as large as it is
            connection.execute("VACUUM")


def _current(connection: sqlite3.Connection) -> bool:
    bears = pragma(connection, "user_version"), pragma(connection, "application_id")
    return bears == (VERSION, KOPAL) and {b"kept", b"used"} <= set(_tables(connection))


def _tables(connection: sqlite3.Connection) -> list[bytes]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [name for (name,) in names]


def _share(connection: sqlite3.Connection) -> None:
    """Let readers and one writer work at once. SQLite does not wait when two processes ask for that at once: we do."""
    for attempt in range(SHARING_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or attempt == SHARING_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return
