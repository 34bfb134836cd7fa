"""Which picture formats we open, told by content, and whether a file is all there.

Pillow notices most truncated files while it decodes, not all: libjpeg ends a cut picture with grey and says nothing.
So each format's own end marker is looked for as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


def _jpeg_complete(data: bytes) -> bool:
    """An end-of-image marker follows the first scan; the thumbnail inside a header has one too and does not count."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            return data.find(b"\xff\xd9", at) != -1
        else:
            at += 2 if 0xD0 <= marker <= 0xD8 or marker == 0x01 else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
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
        if data[at] != 0x21:
            return False
        at = _gif_blocks_end(data, at + 2)
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


def _bmp_complete(data: bytes) -> bool:
    # Some writers leave the size field at 0; then the decoder's own check must do.
    return len(data) >= int.from_bytes(data[2:6], "little")


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
    Format("BMP", lambda data: data[:2] == b"BM", BmpImagePlugin.BmpImageFile, _bmp_complete),
    # TIFF keeps offsets, not an end marker: a cut one is noticed while decoding.
    Format("TIFF", lambda data: data[:4] in (b"II*\0", b"MM\0*"), TiffImagePlugin.TiffImageFile, lambda data: True),
)
