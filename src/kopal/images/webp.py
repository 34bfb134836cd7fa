"""A WEBP's chunks as far as its first picture.

WEBP has neither a checksum nor an end marker, and its decoder reads zeros as happily as pixels. A file that was given
its length and then never filled shows in the zeros that its picture ends with: libwebp's coder ends with a few at most.
"""

from __future__ import annotations

from kopal.images.fault import Fault, cut, too_many_pixels

ZEROS = 64
"""Zeros that end a picture and are no picture: benchmarks/hostile_images.py counts those of sound ones."""

_PICTURES = (b"VP8 ", b"VP8L")


def webp_fault(data: bytes) -> Fault | None:
    """The file is as long as it says, its canvas within the limit, and its first picture does not end in zeros.

    The decoder takes memory for the whole canvas as soon as it sees the header, so the canvas is looked at here.
    """
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        return cut("WEBP")
    picture = _first_picture(data)
    if len(picture) - len(picture.rstrip(b"\0")) >= ZEROS:
        return Fault("truncated", "the WEBP's pixels end in zeros: it was never written to its end")
    return too_many_pixels(*_canvas(data))


def _first_picture(data: bytes) -> bytes:
    """The coded pixels of a still picture, or of the first frame of several."""
    at, end = 12, len(data)
    while at + 8 <= end:
        name, start = data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if name in _PICTURES:
            return data[start : start + size]
        # A frame begins with 16 bytes on its place, then holds chunks of its own.
        at = start + 16 if name == b"ANMF" else start + size + size % 2
    return b""


def _canvas(data: bytes) -> tuple[int, int]:
    """(width, height) as the first chunk says, (0, 0) where it is none of the three that begin a file."""
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return 0, 0
