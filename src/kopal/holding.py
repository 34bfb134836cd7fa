"""Who works in a run's folder right now: a lock of the operating system on a file in it, gone with its process.

A file system may have no locks: then every folder counts as free. What the file says is for those who come after.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import final

LOCK = ".kopal.lock"
"""The file's name. It is there while a process works in the folder, and stays where that process is killed."""
TAKEN = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}
TRIES = 9
"""Where after so many the file that is locked is never the one that stands there, the system tells files by nothing."""
BEYOND = 1 << 20
"""Where Windows locks one byte: what lies before may be read by others."""


@final
class Hold:
    """A folder that this process holds until `release`, or until it ends."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor

    def says(self, words: str) -> None:
        """Leave words for those who come after."""
        with suppress(OSError):
            os.write(self._descriptor, words.encode())

    def release(self, keep: bool = False) -> None:
        """Let others have the folder; the file goes, unless its words are to be kept."""
        if keep:
            os.close(self._descriptor)
            return
        try:
            # While it is held: afterwards it may be another's.
            os.unlink(self._file)
        except OSError:  # on Windows it must be closed first
            os.close(self._descriptor)
            with suppress(OSError):
                os.unlink(self._file)
        else:
            os.close(self._descriptor)


def hold(folder: Path) -> Hold | None:
    """Hold a folder; None where another process, or another training in this one, does. Raises `OSError`."""
    file = folder / LOCK
    for more in range(TRIES, -1, -1):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if not _locked(descriptor):
            os.close(descriptor)
            return None
        with suppress(OSError):
            if not more or os.path.samestat(os.fstat(descriptor), os.stat(file)):
                os.truncate(descriptor, 0)
                return Hold(file, descriptor)
        os.close(descriptor)  # whoever held it has just taken the file away
    return None


def is_held(folder: Path) -> bool:
    """Whether a living process works in a folder; nothing is made."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def words_in(folder: Path) -> str:
    """What whoever works in a folder, or did until it was killed, has left there for others; "" for nothing."""
    try:
        return (folder / LOCK).read_text()
    except (OSError, ValueError):
        return ""


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now; without locks on this file system it counts as ours."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there on Windows alone

            os.lseek(descriptor, BEYOND, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl  # noqa: PLC0415 - not there on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in TAKEN
    return True
