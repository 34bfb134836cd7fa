"""What was computed once is kept: a photo's features or pixels, in one SQLite file that two processes may share.

A row is found by the photo's content, not its path, and by the digest of everything that made the numbers (geometry
and graph): rename a photo and it hits, change a pixel or the net and it misses. A row whose checksum is wrong is
computed anew. The store is a convenience: when it fails, `fault` says why and the work goes on without it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import OutputError

FILE = "store.sqlite"
SHARING_ATTEMPTS = 100


def cache_folder() -> Path:
    """Where kopal keeps what it can compute again: $KOPAL_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("KOPAL_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kopal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "kopal" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kopal"


class Store:
    """Rows of numbers by photo digest, for one `context`: the digest of what makes such a row out of a photo.

    A row is features, float32, unless `kind` (as NumPy writes a type and its byte order) says otherwise; it is flat.
    """

    def __init__(self, folder: Path, context: bytes, kind: str = "<f4") -> None:
        self.fault = ""
        self._kind = kind
        self._context = context
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(folder / FILE, timeout=30, check_same_thread=False)
            _share(self._connection)
            # A crash of the machine may cost the last batches, never the file.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL)"
            )
        except (sqlite3.Error, OSError, ValueError) as error:
            self._give_up(error)

    def get(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[Any]]:
        """The rows known for these photos, by digest; damaged ones are as good as missing."""
        keys = {self._key(digest): digest for digest in digests}
        found: dict[bytes, NDArray[Any]] = {}
        with self._lock:
            if self._connection is None:
                return found
            try:
                marks = ",".join("?" * len(keys))
                rows = self._connection.execute(
                    # A damaged row may have become text or nothing: only as bytes can it be looked at.
                    f"SELECT key, CAST(data AS BLOB), CAST(checksum AS BLOB) FROM features WHERE key IN ({marks})",  # noqa: S608 - only marks
                    list(keys),
                ).fetchall()
            except sqlite3.Error as error:
                self._give_up(error)
                return found
        for key, data, checksum in rows:
            if data is not None and _checksum(key, data) == checksum:
                found[keys[key]] = np.frombuffer(data, self._kind)
        return found

    def put(self, found: Mapping[bytes, NDArray[Any]]) -> None:
        """Keep these rows, all or none of them."""
        rows = []
        for digest, values in found.items():
            key, data = self._key(digest), values.astype(self._kind, copy=False).tobytes()
            rows.append((key, data, _checksum(key, data)))
        with self._lock:
            if self._connection is None or not rows:
                return
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Let go of the file; later calls find and keep nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _key(self, digest: bytes) -> bytes:
        return hashlib.sha256(self._context + digest).digest()

    def _give_up(self, error: Exception) -> None:
        remedy = "kopal cache --clear starts a new one" if type(error) is sqlite3.DatabaseError else "see KOPAL_CACHE"
        self.fault = f"the cache is not used: {getattr(error, 'strerror', None) or error} ({remedy})"
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _share(connection: sqlite3.Connection) -> None:
    """Let readers and one writer work at once. SQLite does not wait when two processes ask for that at once: we do."""
    for attempt in range(SHARING_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if attempt == SHARING_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return


def _checksum(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(key + data, digest_size=8).digest()


def usage(folder: Path) -> tuple[int, int]:
    """(rows, bytes on disk) of the store in a folder; (0, bytes) where it cannot be read."""
    size = sum(path.stat().st_size for path in _files(folder))
    if not (folder / FILE).is_file():
        return 0, size
    try:
        connection = sqlite3.connect(folder / FILE, timeout=5)
        try:
            return int(connection.execute("SELECT count(*) FROM features").fetchone()[0]), size
        finally:
            connection.close()
    except sqlite3.Error:
        return 0, size


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


def _files(folder: Path) -> list[Path]:
    return [path for suffix in ("", "-wal", "-shm", "-journal") if (path := folder / (FILE + suffix)).is_file()]
