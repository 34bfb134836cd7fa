"""Which rows go where there is no room: those that were of no use for the longest time.

A row bears the time of the last session that used it, not of the reading itself. Of one session's rows the last ones
go first: a set larger than the limit would else push itself out from its beginning, and never be found again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import islice

from kopal.store.layout import pragma, transaction

AT_ONCE = 16
"""Rows deleted in one transaction: other processes wait that long."""
PAGES_AT_ONCE = 1000


def touch(connection: sqlite3.Connection, ids: Iterable[int], at: int) -> None:
    """Note that rows were of use. Raises `sqlite3.Error`."""
    with transaction(connection):
        connection.executemany("UPDATE used SET at = ? WHERE id = ?", ((at, number) for number in sorted(ids)))


def occupied(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something. Raises `sqlite3.Error`."""
    return (pragma(connection, "page_count") - pragma(connection, "freelist_count")) * pragma(connection, "page_size")


def shrink(connection: sqlite3.Connection, size: int) -> int:
    """Delete rows until at most `size` bytes are occupied, or none is left → how many went. Raises `sqlite3.Error`."""
    order = iter(connection.execute("SELECT id FROM used ORDER BY at, id DESC").fetchall())
    removed = 0
    while occupied(connection) > size and (some := list(islice(order, AT_ONCE))):
        with transaction(connection):
            connection.executemany("DELETE FROM kept WHERE id = ?", some)
            connection.executemany("DELETE FROM used WHERE id = ?", some)
        removed += len(some)
    return removed


def give_back(connection: sqlite3.Connection, size: int) -> None:
    """Cut empty pages off the end of the file until it is `size` bytes long. Raises `sqlite3.Error`."""
    excess = pragma(connection, "page_count") - size // pragma(connection, "page_size")
    excess = min(excess, pragma(connection, "freelist_count"))
    while excess > 0:
        # As a script: it ends with its last page, and `execute` would stop at the first.
        connection.executescript(f"PRAGMA incremental_vacuum({min(excess, PAGES_AT_ONCE)})")
        excess -= PAGES_AT_ONCE
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
