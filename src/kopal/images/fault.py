"""What is wrong with a file, as its structure alone tells."""

from __future__ import annotations

from typing import NamedTuple

MAX_PIXELS = 50_000_000


class Fault(NamedTuple):
    """`kind` is one word for tables, `reason` says it in words: what `UnreadableImage` takes."""

    kind: str
    reason: str


def cut(name: str) -> Fault:
    """The file ends before its end marker."""
    return Fault("truncated", f"the {name} ends before its end marker")


def asks_too_much(what: str) -> Fault:
    """A file whose decoding would cost more than any honest picture of its size."""
    return Fault("too-large", f"{what}: more than any camera or program writes")


def too_many_pixels(width: int, height: int) -> Fault | None:
    """The limit on pixels, or None where the picture keeps to it."""
    if width * height <= MAX_PIXELS:
        return None
    return Fault("too-large", f"{width} x {height} pixels; the limit is {MAX_PIXELS // 10**6} million")
