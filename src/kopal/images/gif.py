"""A GIF's blocks, walked to the end of its first frame. What stands before it costs turns in Python: it is counted."""

from __future__ import annotations

import sys

from kopal.images.fault import Fault, asks_too_much, cut

MAX_BLOCKS = 100_000


def gif_fault(data: bytes) -> Fault | None:
    """The first frame's blocks are all there."""
    at, blocks = 13 + _palette(data, 10), 0
    while at < len(data) and blocks <= MAX_BLOCKS:
        if data[at] == 0x2C:
            end, _ = _blocks_end(data, at + 11 + _palette(data, at + 9))
            return None if end != -1 else cut("GIF")
        if data[at] == 0x3B:
            break
        if data[at] == 0x21:
            at, passed = _blocks_end(data, at + 2, MAX_BLOCKS)
            blocks += passed
            if at == -1:
                break
        else:
            # Some writers leave stray bytes between the blocks; decoders pass over them.
            at += 1
        blocks += 1
    return cut("GIF") if blocks <= MAX_BLOCKS else asks_too_much(f"{MAX_BLOCKS} blocks before a GIF's first frame")


def _palette(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int, most: int = sys.maxsize) -> tuple[int, int]:
    """Where a chain of blocks ends, -1 where it does not or they are more than `most`, and how many they are."""
    blocks = 0
    while at < len(data) and blocks <= most:
        if data[at] == 0:
            return at + 1, blocks
        at += 1 + data[at]
        blocks += 1
    return -1, blocks
