"""Which picture formats we open, told by content, and whether a file is all there.

Pillow notices most truncated files while it decodes, not all: libjpeg ends a cut picture with grey and says nothing.
So each format's own end marker is looked for as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)


@dataclass(frozen=True)
class Format:
    """A picture format: its name, first bytes, Pillow's plugin for it, and a check of its end marker."""

    name: str
    starts: Callable[[bytes], bool]
    plugin: type[ImageFile.ImageFile]
    complete: Callable[[bytes], bool]


def recognise(data: bytes) -> Format | None:
    """The format of a file's content, or None where it is none of ours."""
    return next((known for known in FORMATS if known.starts(data)), None)


# In a scan FF is followed by 00 or by a restart marker's number, else it begins the next segment.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _jpeg_complete(data: bytes) -> bool:
    """The picture's segments and scans lead to its end marker; those inside a header's thumbnail do not count."""
    at = 2
    while found := _NEXT_SEGMENT.search(data, at):
        marker = data[found.start() + 1]
        if marker == 0xD9:
            return True
        stands_alone = marker in (0x01, 0xD8)
        at = found.end() + (0 if stands_alone else int.from_bytes(data[found.end() : found.end() + 2], "big"))
    return False


def _png_complete(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _gif_complete(data: bytes) -> bool:
    """The first frame's blocks are all there."""
    at = 13 + _gif_palette(data, 10)
    while at < len(data):
        if data[at] == 0x2C:
            at = _gif_blocks_end(data, at + 11 + _gif_palette(data, at + 9))
            return at != -1
        if data[at] == 0x3B:
            return False
        # Some writers leave stray bytes between the blocks; decoders pass over them.
        at = _gif_blocks_end(data, at + 2) if data[at] == 0x21 else at + 1
        if at == -1:
            return False
    return False


def _gif_palette(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks_end(data: bytes, at: int) -> int:
    while at < len(data):
        if data[at] == 0:
            return at + 1
        at += 1 + data[at]
    return -1


def _webp_complete(data: bytes) -> bool:
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _tiff_complete(data: bytes) -> bool:
    """The first directory lies inside the file; that the strips do too is noticed while decoding."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    if 43 in data[2:4]:  # with 64-bit offsets
        at = int.from_bytes(data[8:16], order)
        return at + 8 + 20 * int.from_bytes(data[at : at + 8], order) <= len(data)
    at = int.from_bytes(data[4:8], order)
    return at + 2 + 12 * int.from_bytes(data[at : at + 2], order) <= len(data)


FORMATS = (
    Format("JPEG", lambda data: data[:3] == b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile, _jpeg_complete),
    Format("PNG", lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile, _png_complete),
    Format("GIF", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile, _gif_complete),
    Format(
        "WEBP",
        lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        WebPImagePlugin.WebPImageFile,
        _webp_complete,
    ),
    # BMP's size field is often wrong and no decoder minds: a cut one is noticed while decoding.
    Format("BMP", lambda data: data[:2] == b"BM", BmpImagePlugin.BmpImageFile, lambda data: True),
    Format(
        "TIFF",
        lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        TiffImagePlugin.TiffImageFile,
        _tiff_complete,
    ),
)
