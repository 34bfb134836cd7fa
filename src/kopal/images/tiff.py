"""A TIFF's first directory: where its strips or tiles lie, how they are coded, and that they are there.

libtiff would find a missing strip too, but says so on the standard error stream of the whole program.
"""

from __future__ import annotations

from typing import Literal

from kopal.images.fault import MAX_PIXELS, Fault, asks_too_much, cut

MAX_STRIPS = 100_000
MAX_ENTRIES = 4096

CODINGS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946})
"""None, fax, LZW, JPEG, Deflate, PackBits. Others (LZMA, Zstandard, WEBP, ThunderScan, SGI) name their own need of
memory or are hardly tested by anybody, and no camera or scanner writes them."""

_COMPRESSION, _STRIP_OFFSETS, _STRIP_SIZES, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_SIZES = (
    *(259, 273, 279),
    *(322, 323, 324, 325),
)
_OURS = frozenset({_COMPRESSION, _STRIP_OFFSETS, _STRIP_SIZES, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_SIZES})
_BYTES = {3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
"""Tag types of whole numbers, and how many bytes one takes."""


def tiff_fault(data: bytes) -> Fault | None:
    """The first directory and what it points at lie inside the file, in a coding we open and a number we wait for."""
    tags = _directory(data)
    if isinstance(tags, Fault):
        return tags
    coding = next(iter(tags.get(_COMPRESSION, ())), 1)
    if coding not in CODINGS:
        return Fault("unsupported", f"TIFF compression {coding}: save it with LZW, Deflate or none")
    for offsets, sizes in ((_STRIP_OFFSETS, _STRIP_SIZES), (_TILE_OFFSETS, _TILE_SIZES)):
        starts, lengths = tags.get(offsets, ()), tags.get(sizes, ())
        if max(len(starts), len(lengths)) > MAX_STRIPS:
            return asks_too_much(f"a TIFF of {max(len(starts), len(lengths))} strips")
        # Without compression the sizes are often wrong, and no decoder reads them.
        ends = [*starts] if coding == 1 else [start + length for start, length in zip(starts, lengths, strict=False)]
        if ends and max(ends) > len(data):
            return cut("TIFF")
    width, length = (max(tags.get(tag, ()), default=0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    if width * length > MAX_PIXELS:
        return asks_too_much(f"a TIFF in tiles of {width} x {length} pixels")
    return None


def _directory(data: bytes) -> dict[int, tuple[int, ...]] | Fault:
    """The whole numbers of the first directory by their tag, a fault where it or one of ours is not in the file."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    wide = 43 in data[2:4]  # with 64-bit offsets
    head, entry, field = (8, 20, 8) if wide else (2, 12, 4)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    at = number(8, 8) if wide else number(4, 4)
    count = number(at, head)
    if at + head + entry * count > len(data):
        return cut("TIFF")
    if count > MAX_ENTRIES:
        return asks_too_much(f"a TIFF with {count} tags")
    found = {}
    for place in range(at + head, at + head + entry * count, entry):
        tag, kind, length = number(place, 2), number(place + 2, 2), number(place + 4, field)
        if tag not in _OURS or kind not in _BYTES:
            continue
        size = _BYTES[kind]
        start = place + 4 + field
        if length * size > field:
            start = number(start, field)
        if start + length * size > len(data):
            return cut("TIFF")
        # One more than the limit is enough to know.
        found[tag] = tuple(number(start + size * index, size) for index in range(min(length, MAX_STRIPS + 1)))
    return found
