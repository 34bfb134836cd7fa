"""A WEBP's chunks as far as its first picture.

WEBP has neither a checksum nor an end marker, and its decoder reads zeros as happily as pixels: of a file that was
given its length and then never filled it makes a picture. But where zeros are really part of one, as at the end of an
even dark sky, the decoder needs every byte of them. So of a picture that ends in zeros some are taken away: if it is
decoded all the same, they were none of it.
"""

from __future__ import annotations

from kopal.images.fault import Fault, cut, too_many_pixels

ZEROS, SPARE = 32, 16
"""From how many zeros at its end on a picture is looked at twice, and how many of them it must be able to miss."""

_PICTURES = (b"VP8 ", b"VP8L")


def webp_fault(data: bytes) -> Fault | None:
    """The file is as long as it says, and its canvas within the limit.

    The decoder takes memory for the whole canvas as soon as it sees the header, so the canvas is looked at here.
    """
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        return cut("WEBP")
    return too_many_pixels(*_canvas(data))


def shortened(data: bytes) -> bytes | None:
    """The first picture as a file of its own that lacks SPARE of the zeros it ends in, None if these are few."""
    name, picture = _first_picture(data)
    if len(picture) - len(picture.rstrip(b"\0")) < ZEROS:
        return None
    short = picture[: (len(picture) - SPARE) & ~1]
    body = b"WEBP" + name + len(short).to_bytes(4, "little") + short
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _first_picture(data: bytes) -> tuple[bytes, bytes]:
    """The name and content of the chunk with the coded pixels: of a still picture, or of the first of several."""
    at, end = 12, len(data)
    while at + 8 <= end:
        name, start = data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if name in _PICTURES:
            return name, data[start : start + size]
        # A frame begins with 16 bytes on its place, then holds chunks of its own.
        at = start + 16 if name == b"ANMF" else start + size + size % 2
    return b"", b""


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
