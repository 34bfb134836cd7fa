"""Small pictures of photos inside the page: decoded once, side by side, and no more of them than a page can carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kopal import images
from kopal.datasets import Source
from kopal.errors import UnreadableImage
from kopal.images import Geometry
from kopal.parallel import ordered
from kopal.report.web_page import data_address, plain

SIDE = 120
"""Pixels of the longer side."""
MOST_BYTES = 3_300_000
"""Of all pictures on a page together."""


@final
class Thumbnails:
    """Pictures of photos by name; those for which there was no room or no file are words."""

    def __init__(self, source: Source | None, names: Iterable[str]) -> None:
        self._found: dict[str, str] = {}
        left = MOST_BYTES
        wanted = dict.fromkeys(names) if source else {}
        for name, address in ordered(lambda name: (name, _address(source, name)), wanted):
            if address is not None and len(address) <= left:
                left -= len(address)
                self._found[name] = address

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def picture(self, name: str, words: str) -> str:
        """A photo's picture, described in words, or a field that says that it is not there."""
        if name not in self._found:
            return f'<span class="picture none" role="img" aria-label="{plain(words)}: no picture">no picture</span>'
        return f'<span class="picture"><img loading="lazy" alt="{plain(words)}" src="{self._found[name]}"></span>'


def array_address(pixels: NDArray[np.uint8]) -> str:
    """Pixels (H, W, 3) or (H, W) as an image's address."""
    image = Image.fromarray(pixels)
    image.thumbnail((2 * SIDE, 2 * SIDE))
    return data_address(image)


def _address(source: Source | None, name: str) -> str | None:
    if source is None:
        return None
    try:
        image = images.decode(source.read(name), Geometry(SIDE, SIDE))
    except UnreadableImage:  # it was readable when the run was made
        return None
    image.thumbnail((SIDE, SIDE))
    return data_address(image)
