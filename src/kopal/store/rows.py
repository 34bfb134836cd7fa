"""The store as trainings see it: rows of numbers by photo.

A row is found by the photo's content, not its path, and by the digest of everything that made the numbers (geometry
and graph): rename a photo and it hits, change a pixel or the net and it misses. A row whose checksum is wrong is
computed anew. The store is a convenience: when it fails, `fault` says why and the work goes on without it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.parallel import chunks
from kopal.store.layout import opened, opened_to_read, seal, sound, transaction
from kopal.store.limit import limit
from kopal.store.lru import give_back, occupied, shrink, touch

AT_ONCE = 500
"""Keys in one question: SQLite may have been built to take no more than 999."""
NOTED = 10_000
"""Rows that were of use are written down when there are so many, and at the end."""
ROOM = 0.9
"""A store that has reached its limit is made this much smaller, so that it need not be done for every batch."""


class Store:
    """Rows of numbers by photo digest, for one `context`: the digest of what makes such a row out of a photo.

    A row is features, float32, unless `kind` (as NumPy writes a type and its byte order) says otherwise; it is flat.
    With `read_only` nothing on the disk changes, whatever is or is not there: no folder is made, no row is noted as of
    use, none goes, and what cannot be read is as good as missing.
    Raises `UsageError` where $KOPAL_CACHE_MAX says no size.
    """

    def __init__(self, folder: Path, context: bytes, kind: str = "<f4", read_only: bool = False) -> None:
        self.fault = ""
        self._kind = kind
        self._context = context
        self._limit = limit()
        self._lock = threading.Lock()
        self._began = int(time.time())
        self._of_use: set[int] = set()
        self._adds = not read_only
        self._connection: sqlite3.Connection | None = None
        if read_only:
            with suppress(sqlite3.Error, OSError, ValueError):
                self._connection = opened_to_read(folder)
            return
        try:
            self._connection = opened(folder)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._give_up(error)
            if type(error) is not sqlite3.DatabaseError:
                with suppress(sqlite3.Error, OSError, ValueError):
                    self._connection = opened_to_read(folder)
                    self._add_no_more(error)

    def get(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[Any]]:
        """The rows known for these photos, by digest; damaged ones are as good as missing."""
        keys = {self._key(digest): digest for digest in digests}
        found: dict[bytes, NDArray[Any]] = {}
        of_use = []
        for some in chunks(keys, AT_ONCE):
            for number, key, checksum, data in self._rows(some):
                # A damaged index may lead to the sound row of another photo.
                if sound(key, checksum, data) and key in keys:
                    found[keys[key]] = np.frombuffer(data, self._kind)
                    of_use.append(number)
        with self._lock:
            self._of_use.update(of_use)
            if len(self._of_use) >= NOTED:
                self._write_down()
        return found

    def put(self, found: Mapping[bytes, NDArray[Any]]) -> None:
        """Keep these rows, all or none of them; others that were of no use for long may have to go."""
        rows = []
        for digest, values in found.items():
            key, data = self._key(digest), values.astype(self._kind, copy=False).tobytes()
            rows.append((key, seal(key, data), data))
        with self._lock:
            if self._connection is None or not self._adds or not rows:
                return
            try:
                with transaction(self._connection):
                    command = "INSERT OR REPLACE INTO kept (key, checksum, data) VALUES (?, ?, ?)"
                    numbers = [self._connection.execute(command, row).lastrowid for row in rows]
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO used VALUES (?, ?)", ((number, self._began) for number in numbers)
                    )
                self._keep_to_limit(self._connection)
            except sqlite3.Error as error:
                self._add_no_more(error)

    def close(self) -> None:
        """Let go of the file; later calls find and keep nothing."""
        with self._lock:
            if self._connection is not None:
                self._write_down()
                with suppress(sqlite3.Error):
                    if self._adds:
                        self._keep_to_limit(self._connection)
                self._connection.close()
                self._connection = None

    def _key(self, digest: bytes) -> bytes:
        return hashlib.sha256(self._context + digest).digest()

    def _rows(self, keys: Sequence[bytes]) -> list[tuple[int, Any, Any, Any]]:
        with self._lock:
            if self._connection is None:
                return []
            try:
                marks = ",".join("?" * len(keys))
                return self._connection.execute(
                    f"SELECT id, key, checksum, data FROM kept WHERE key IN ({marks})",  # noqa: S608 - only marks
                    keys,
                ).fetchall()
            except sqlite3.Error as error:
                self._give_up(error)
                return []

    def _write_down(self) -> None:
        """Note what was of use. That it cannot be noted does no harm: those rows go sooner."""
        if self._connection is not None and self._adds and self._of_use:
            with suppress(sqlite3.Error):
                touch(self._connection, self._of_use, self._began)
        self._of_use.clear()

    def _keep_to_limit(self, connection: sqlite3.Connection) -> None:
        if occupied(connection) > self._limit:
            self._write_down()
            shrink(connection, int(self._limit * ROOM))
        give_back(connection, self._limit)

    def _add_no_more(self, error: Exception) -> None:
        """What is there can still be read, unless SQLite cannot make sense of it."""
        if type(error) is sqlite3.DatabaseError:
            self._give_up(error)
        else:
            self._adds = False
            self.fault = f"the cache is not added to: {_reason(error)}"

    def _give_up(self, error: Exception) -> None:
        self.fault = f"the cache is not used: {_reason(error)}"
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _reason(error: Exception) -> str:
    """In one line why, and what to do."""
    if type(error) is sqlite3.DatabaseError:
        remedy = "kopal cache verify says more, kopal cache --clear starts a new one"
    elif getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        remedy = "kopal cache prune --max SIZE makes room"
    else:
        remedy = "see KOPAL_CACHE"
    return f"{getattr(error, 'strerror', None) or error} ({remedy})"
