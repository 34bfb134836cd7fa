"""A zip archive's members. The directory is read by zipfile, contents by us: many threads, each with its own place."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kopal.datasets.members import NO_FILE, Member, OpenFile, Refused, check_count, check_size, damaged
from kopal.errors import DataError, KopalError, UnreadableImage
from kopal.files import shown

LOCKED, PATCH, STRONGLY_LOCKED, UTF8 = 0x1, 0x20, 0x40, 0x800
UNIX_SYSTEMS = (3, 19)
UNICODE_PATH = 0x7075
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A stored or deflated file; `start` is where its local header stands, sizes are what the directory claims."""

    archive: OpenFile
    start: int
    packed: int
    size: int
    method: int
    crc: int

    def read(self) -> bytes:
        """The content, unpacked no further than claimed. Raises `UnreadableImage`."""
        check_size(max(self.packed, self.size))
        header = self.archive.read(self.start, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise UnreadableImage("damaged", "the archive has no such file where its directory says")
        _, name, extra = _LOCAL_HEADER.unpack(header)
        data = self.archive.read(self.start + _LOCAL_HEADER.size + name + extra, self.packed)
        if len(data) < self.packed:
            raise UnreadableImage("truncated", "the archive ends within the file")
        if self.method == zipfile.ZIP_DEFLATED:
            data = self._inflated(data)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise UnreadableImage("damaged", "not the content that the archive's directory describes")
        return data

    def _inflated(self, data: bytes) -> bytes:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error as error:
            raise UnreadableImage("damaged", f"cannot be unpacked: {error}") from error


def zip_members(archive: OpenFile, notes: list[str]) -> Iterator[tuple[str, Member | None]]:
    """(name as stored, member), None for a folder. Raises `DataError` for a directory that is damaged or a bomb."""
    try:
        with zipfile.ZipFile(_Directory(archive.path, archive.file)) as opened:
            infos = opened.infolist()
    except KopalError:
        raise
    except Exception as error:  # zipfile raises nearly anything on a damaged directory; all of it means the same
        raise damaged(archive.path, error) from error
    _check_apart(infos, archive.path)
    names = [_name(info) for info in infos]
    if None in names:
        notes.append(
            "names of unknown alphabet in the archive were read as code page 437: are the classes spelled right?"
        )
    for info, name in zip(infos, names, strict=True):
        name = info.orig_filename if name is None else name
        yield name, None if _is_folder(info, name) else _member(info, archive)


class _Directory:
    """The file as zipfile reads it: a directory is counted before it becomes a million objects."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        check_count(data.count(b"PK\1\2"), self._path)
        return data


def _check_apart(infos: Iterable[zipfile.ZipInfo], path: str) -> None:
    """Small archives that unpack to terabytes let many members share the same bytes: bamsoftware.com/hacks/zipbomb."""
    free = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < free:
            raise DataError(
                f"files in {shown(path)} overlap: it is damaged, or a zip bomb",
                "each file in a place of its own",
                "copy or download it again, or zip the folder again",
            )
        free = info.header_offset + _LOCAL_HEADER.size + info.compress_size


def _name(info: zipfile.ZipInfo) -> str | None:
    """The name as its writer meant it; None where only the standard's code page 437 is left to assume."""
    name = info.orig_filename
    if info.flag_bits & UTF8:
        return name
    raw = name.encode("cp437")
    try:
        # Finder and Info-ZIP write UTF-8 and do not say so; text of another alphabet is hardly ever valid UTF-8.
        return _unicode_path(info.extra, raw) or raw.decode()
    except UnicodeDecodeError:
        return None


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in UTF-8 that some writers keep beside one in their own alphabet (APPNOTE 4.6.9)."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == UNICODE_PATH and extra[4:9] == b"\1" + struct.pack("<L", zlib.crc32(raw)):
            return extra[9 : 4 + size].decode()
        extra = extra[4 + size :]
    return None


def _is_folder(info: zipfile.ZipInfo, name: str) -> bool:
    return name.endswith(("/", "\\")) or _mode(info) == stat.S_IFDIR


def _mode(info: zipfile.ZipInfo) -> int:
    return stat.S_IFMT(info.external_attr >> 16) if info.create_system in UNIX_SYSTEMS else 0


def _member(info: zipfile.ZipInfo, archive: OpenFile) -> Member:
    if _mode(info) not in (0, stat.S_IFREG):
        return NO_FILE
    if info.flag_bits & (LOCKED | STRONGLY_LOCKED):
        return Refused("encrypted", "locked with a password in the archive: unpack it and name the folder")
    if info.flag_bits & PATCH or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = f"compressed by method {info.compress_type} in the archive"
        return Refused("unsupported", f"{how}: unpack it and name the folder")
    return ZipMember(archive, info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
