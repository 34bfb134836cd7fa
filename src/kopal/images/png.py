"""A PNG's chunks, walked to the last one. Each costs a turn in Python, however short it is, so they are counted."""

from __future__ import annotations

from kopal.images.fault import Fault, asks_too_much, cut

MAX_CHUNKS = 100_000


def png_fault(data: bytes) -> Fault | None:
    """The chunks lead to the one that ends a picture."""
    at = 8
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return cut("PNG")
        if data[at + 4 : at + 8] == b"IEND":
            return None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return asks_too_much(f"a PNG of more than {MAX_CHUNKS} chunks")
