"""A tar archive's members. Headers are read by tarfile, contents in place: many threads, each with its own place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from kopal.datasets.members import NO_FILE, Member, OpenFile, Refused, check_count, check_size, damaged
from kopal.errors import KopalError, UnreadableImage

LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class TarMember:
    """A regular file: `size` bytes from `start` on."""

    archive: OpenFile
    start: int
    size: int

    def read(self) -> bytes:
        """The content. Raises `UnreadableImage`."""
        check_size(self.size)
        data = self.archive.read(self.start, self.size)
        if len(data) < self.size:
            raise UnreadableImage("truncated", "the archive ends within the file")
        return data


def is_tar(start: bytes) -> bool:
    """Whether a file's first 512 bytes are a header with a right checksum."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def tar_members(archive: OpenFile) -> Iterator[tuple[str, Member | None]]:
    """(name as stored, member), None for a folder. Raises `DataError` where the headers do not lead to the end."""
    archive.file.seek(0)
    headers = cast("BinaryIO", _Headers(archive.file))
    opened: Any
    found = 0
    try:
        with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape") as opened:
            while (info := opened.next()) is not None:
                found += 1
                check_count(found, archive.path)
                if info.size < 0:
                    raise tarfile.ReadError("a file of negative size")
                opened.members.clear()  # else it keeps them all
                yield info.name, None if info.isdir() else _member(info, archive)
            end = opened.offset
    except KopalError:
        raise
    except Exception as error:  # tarfile raises nearly anything on a damaged header; all of it means the same
        raise damaged(archive.path, error) from error
    # tarfile takes a header that is cut or overwritten for the end, and so would lose photos in silence.
    if archive.read(end, tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise damaged(archive.path, f"no file and no end mark at byte {end}")


class _Headers:
    """The file as tarfile reads it: a header that claims gigabytes is not believed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _member(info: tarfile.TarInfo, archive: OpenFile) -> Member:
    if info.issparse():
        return Refused("unsupported", "stored with holes in the archive: unpack it and name the folder")
    return TarMember(archive, info.offset_data, info.size) if info.isreg() else NO_FILE
