"""Picture files by name: the formats there are, and names in pictures that anyone may have given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kopal.errors import UsageError
from kopal.files import shown

FORMATS = ("svg", "png", "pdf")


def picture_kind(path: Path, formats: Sequence[str] = FORMATS) -> str:
    """The format that a file name asks for. Raises `UsageError` for one that is not in `formats`."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in formats:
        raise UsageError(f"a picture named {shown(path.name)!r}", f"a name that ends in .{', .'.join(formats)}")
    return kind


def caption(name: str, length: int = 20) -> str:
    """Any name as one short line of printable text."""
    text = shown(name)
    if len(text) <= length:
        return text
    # Names that begin alike often differ at the end.
    return f"{text[: length - length // 3 - 1]}…{text[-(length // 3) :]}"
