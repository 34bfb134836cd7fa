"""A gzipped tar as a tar: nothing in a gzip stream can be looked up, so it is unpacked once, into a temporary file."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator

from kopal.datasets.members import OpenFile, damaged
from kopal.datasets.tar_members import is_tar
from kopal.errors import DataError, OutputError
from kopal.files import shown

CHUNK = 1 << 20
UNSUSPICIOUS = 4 << 30
"""Bytes that any archive may unpack to; beyond them, at most `MOST_RATIO` times its own size."""
MOST_RATIO = 100
SPARED = 1 << 30
"""Bytes of the disk that the temporary file leaves free."""


def gunzipped(packed: OpenFile, notes: list[str]) -> OpenFile:
    """A gzipped tar → the tar as a file without a name, which vanishes with its last reader.

    Raises `DataError` (damaged, no tar, a bomb) and `OutputError` (no space).
    """
    folder = _roomy()
    most = max(UNSUSPICIOUS, MOST_RATIO * os.fstat(packed.file.fileno()).st_size)
    size = 0
    try:
        room = shutil.disk_usage(folder).free - SPARED
        unpacked = OpenFile(packed.path, tempfile.TemporaryFile(dir=folder, prefix="kopal-"))  # noqa: SIM115
        for data in _gunzip(packed):
            size += len(data)
            if size > most:
                raise DataError(
                    f"{shown(packed.path)} unpacks to more than {MOST_RATIO} times its size, as bombs do",
                    "photos, which hardly shrink",
                    "if it is sound, unpack it and name the folder",
                )
            if size > room:
                raise _no_space(packed.path, folder, "no space left")
            unpacked.file.write(data)
        unpacked.file.flush()
    except OSError as error:
        raise _no_space(packed.path, folder, (error.strerror or str(error)).lower()) from error
    notes.append(
        f"{os.path.basename(packed.path)} is compressed as a whole, so it was unpacked into a temporary file of "
        f"{size / 1e6:.0f} MB; a .zip or .tar is read in place"
    )
    return unpacked


def _gunzip(packed: OpenFile) -> Iterator[bytes]:
    packed.file.seek(0)
    start = True
    with gzip.GzipFile(fileobj=packed.file) as stream:
        while data := _chunk(stream, packed.path):
            if start and not is_tar(data[: tarfile.BLOCKSIZE]):
                raise DataError(
                    f"{shown(packed.path)} holds no tar archive", "photos as .zip, .tar or .tar.gz", "name a folder"
                )
            start = False
            yield data


def _chunk(stream: gzip.GzipFile, path: str) -> bytes:
    try:
        return stream.read(CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error


def _roomy() -> str:
    """A place for large temporary files: /tmp may lie in memory, /var/tmp does not (FHS 3.0, 5.15)."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):  # noqa: S108 - the file gets no name there
        return "/var/tmp"  # noqa: S108
    return tempfile.gettempdir()


def _no_space(path: str, folder: str, reason: str) -> OutputError:
    return OutputError(
        f"cannot unpack {shown(path)} into a temporary file in {shown(folder)}: {reason}",
        "space for the whole archive, unpacked",
        "set TMPDIR to a folder with more space, or unpack it and name the folder",
    )
