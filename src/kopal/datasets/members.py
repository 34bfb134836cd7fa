"""The files in an archive, and the archive itself as a file that many threads read at once."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from dataclasses import dataclass
from typing import BinaryIO, Protocol, final

from kopal.errors import DataError, UnreadableImage
from kopal.files import shown
from kopal.images import MAX_BYTES

MAX_MEMBERS = 1_000_000


class Member(Protocol):
    """A file in an archive."""

    def read(self) -> bytes:
        """Its content, at most 32 MB. Raises `UnreadableImage`."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A member that is not read, whatever it holds: a link, a device, something locked."""

    kind: str
    reason: str

    def read(self) -> bytes:
        """Raises `UnreadableImage`."""
        raise UnreadableImage(self.kind, self.reason)


NO_FILE = Refused("not-a-file", "a link or a device in an archive, which is not followed")


@final
class OpenFile:
    """An archive that is held open as long as anyone may read from it; `path` is what its owner calls it."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self._lock = threading.Lock()
        weakref.finalize(self, _close, file)

    def read(self, start: int, size: int) -> bytes:
        """The bytes from `start` on, fewer where the file ends. Raises `UnreadableImage` (no-access)."""
        try:
            if hasattr(os, "pread"):  # no shared place in the file, so no thread waits for another
                return os.pread(self.file.fileno(), size, start)
            with self._lock:
                self.file.seek(start)
                return self.file.read(size)
        except (OSError, ValueError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UnreadableImage("no-access", reason.lower()) from error


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # a temporary file that found no space does not matter any more
        file.close()


def check_size(size: int) -> None:
    """Raises `UnreadableImage` above the limit that files on disk have too."""
    if size > MAX_BYTES:
        raise UnreadableImage("too-large", f"{size / 1e6:.0f} MB; the limit is {MAX_BYTES >> 20} MB")


def damaged(path: str, reason: object) -> DataError:
    """The error for an archive that cannot be listed."""
    return DataError(
        f"{shown(path)} is damaged: {shown(str(reason))}",
        "a whole zip, tar or tar.gz archive",
        "copy or download it again, or unpack it and name the folder",
    )


def check_count(count: int, path: str) -> None:
    """Raises `DataError` for an archive with more members than we hold in memory."""
    if count > MAX_MEMBERS:
        raise DataError(
            f"{shown(path)} holds more than {MAX_MEMBERS} files and folders",
            "fewer",
            "unpack it and name the folder, or leave some out",
        )
