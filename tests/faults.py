"""The points at which a file system may fail: counted in one run, then made to fail, or to kill, one after another.

Each open for writing, write, fsync, rename, folder made and name deleted below a folder is a point. In place of a write
half of it is written first. SQLite writes without asking Python: its points are those of `sql_points`, and the size to
which the system lets files grow (tests/killed.py).
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

Act = Callable[[str], None]
"""What happens at a point, given its name: an error, the end of the process, or nothing."""


def nothing(name: str) -> None:
    """No fault."""


def killed(name: str) -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def failing(code: int) -> Act:
    """The error of the system that has this number."""

    def fail(name: str) -> None:
        raise OSError(code, os.strerror(code))

    return fail


class _Watched(io.FileIO):
    """A file without a buffer, that tells of every write when half of it is done."""

    point: Callable[[str], None] = nothing

    def write(self, data: Any) -> int:
        whole = memoryview(data).cast("B")
        self._write_all(whole[: len(whole) // 2])
        self.point("write")
        self._write_all(whole[len(whole) // 2 :])
        return len(whole)

    def _write_all(self, part: memoryview) -> None:
        while part:
            part = part[super().write(part) :]


@contextmanager
def points(folder: Path, at: int = 0, act: Act = nothing, lasting: bool = False) -> Iterator[list[str]]:
    """Let `act` happen at the `at`-th point, from 1, or with `lasting` at all that take space from there on.

    Yields the list of the points that were passed.
    """
    seen: list[str] = []

    def point(name: str) -> None:
        seen.append(name)
        if len(seen) == at or (lasting and 0 < at <= len(seen) and name in ("open", "write", "fsync", "mkdir")):
            act(name)

    def below(path: object) -> bool:
        return isinstance(path, str | os.PathLike) and str(os.fspath(path)).startswith(str(folder))

    def watched(name: str, original: Callable[..., Any], counts: Callable[..., bool] = below) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if counts(*given):
                point(name)
            return original(*given, **named)

        return call

    real_open = builtins.open

    def opened(path: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        if not below(path) or not set(mode) & set("wxa+"):
            return real_open(path, mode, *given, **named)
        point("open")
        file = _Watched(path, mode.replace("b", ""))
        file.point = point  # type: ignore[method-assign]
        return file

    def creates(path: object, flags: int = 0, *_: object) -> bool:
        return below(path) and bool(flags & os.O_CREAT)

    patches = {
        "fsync": watched("fsync", os.fsync, lambda *_: True),
        "replace": watched("replace", os.replace, lambda _, target, *more: below(target)),
        "unlink": watched("unlink", os.unlink, lambda path, *_: below(path)),
        "mkdir": watched("mkdir", os.mkdir, lambda path, *_: below(path)),
        "open": watched("open", os.open, creates),
    }
    with ExitStack() as stack:
        for name, patch in patches.items():
            stack.enter_context(mock.patch.object(os, name, patch))
        stack.enter_context(mock.patch.object(builtins, "open", opened))
        yield seen


@contextmanager
def sql_points(at: int = 0, act: Act = nothing) -> Iterator[list[str]]:
    """The same for what SQLite is asked to do."""
    seen: list[str] = []
    connect = sqlite3.connect

    def point(command: str) -> None:
        seen.append(command.split("(", maxsplit=1)[0])
        if len(seen) == at:
            act(command)

    class Watched(sqlite3.Connection):
        def execute(self, command: str, *given: Any) -> sqlite3.Cursor:
            point(command)
            return super().execute(command, *given)

        def executemany(self, command: str, *given: Any) -> sqlite3.Cursor:
            point(command)
            return super().executemany(command, *given)

    with mock.patch.object(sqlite3, "connect", lambda *where, **more: connect(*where, factory=Watched, **more)):
        yield seen


def sql_failing(name: str) -> None:
    """What SQLite says when the system fails it."""
    raise sqlite3.OperationalError("disk I/O error")
