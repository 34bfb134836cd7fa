"""Which picture formats we open, told by content, and what speaks against handing a file to its decoder.

Pillow notices most truncated files while it decodes, not all: libjpeg ends a cut picture with grey and says nothing.
So each format's own end marker is looked for as well. And some files are sound but made to cost: a few bytes each for
a million chunks, strips or scans. Those are counted here, before any decoder walks through them.
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

from kopal.images.fault import Fault, asks_too_much
from kopal.images.gif import gif_fault
from kopal.images.jpeg import jpeg_fault
from kopal.images.png import png_fault
from kopal.images.tiff import tiff_fault
from kopal.images.webp import webp_fault

RUN_LENGTH_PIXELS = 16_000_000
RUN_LENGTH_BYTES = 8 * 1024 * 1024
"""Pillow decodes run-length coded BMPs in Python, a byte at a time; larger ones would take many seconds."""


@dataclass(frozen=True)
class Format:
    """A picture format: its name, first bytes, Pillow's plugin for it, and what is wrong with a file, if anything."""

    name: str
    starts: Callable[[bytes], bool]
    plugin: type[ImageFile.ImageFile]
    fault: Callable[[bytes], Fault | None]


def recognise(data: bytes) -> Format | None:
    """The format of a file's content, or None where it is none of ours."""
    return next((known for known in FORMATS if known.starts(data)), None)


def bmp_fault(data: bytes) -> Fault | None:
    """A run-length coded picture is small. The size field is often wrong and no decoder minds: a cut one is noticed
    while decoding.
    """
    if int.from_bytes(data[14:18], "little") < 40 or int.from_bytes(data[30:34], "little") not in (1, 2):
        return None
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    if abs(width * height) > RUN_LENGTH_PIXELS or max(abs(width), abs(height)) > 0xFFFF or len(data) > RUN_LENGTH_BYTES:
        return asks_too_much(f"a run-length coded BMP of {width} x {height} pixels and {len(data) / 1e6:.1f} MB")
    return None


FORMATS = (
    Format("JPEG", lambda data: data[:3] == b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile, jpeg_fault),
    Format("PNG", lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile, png_fault),
    Format("GIF", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile, gif_fault),
    Format(
        "WEBP",
        lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        WebPImagePlugin.WebPImageFile,
        webp_fault,
    ),
    Format("BMP", lambda data: data[:2] == b"BM", BmpImagePlugin.BmpImageFile, bmp_fault),
    Format(
        "TIFF",
        lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        TiffImagePlugin.TiffImageFile,
        tiff_fault,
    ),
)
