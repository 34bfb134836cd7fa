"""What a model keeps of the photos that it learned from: enough to tell one again, nothing to see."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from kopal.errors import ModelFileError

MARK = 6
"""Bytes of a photo's sha256 that a model keeps of each photo it learned from: enough to tell, nothing to see."""


def marks(digests: Iterable[bytes]) -> str:
    """The marks of photos, sorted, as text for a model's card. A mark's own mark is itself."""
    return base64.b64encode(b"".join(sorted({digest[:MARK] for digest in digests}))).decode()


def count_marked(marked: str, digests: Iterable[bytes]) -> int:
    """How many of these photos a model with such marks has learned from. Raises `ModelFileError`."""
    found = marked_photos(marked)
    return sum(digest[:MARK] in found for digest in digests)


def marked_photos(marked: str) -> set[bytes]:
    """The marks in the text that `marks` made, one for each different photo. Raises `ModelFileError`."""
    try:
        joined = base64.b64decode(marked)
    except ValueError as error:
        raise ModelFileError(
            f"the model's list of photos that it learned from is damaged: {error}",
            "a card as kopal writes it",
            "copy the file again, or train anew with kopal train",
        ) from error
    return {joined[start : start + MARK] for start in range(0, len(joined), MARK)}
