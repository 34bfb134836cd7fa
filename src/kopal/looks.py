"""What an audit keeps of each photo: a thumbnail, how sharp and colourful it is, and what its file says of itself.

A look is made in the one pass over the photos, from the picture that is decoded there anyway, and is kept in the store
beside the features, so that a second pass decodes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kopal.arrays import Pixels
from kopal.images import Facts, Geometry
from kopal.store import Store, cache_folder

SIDE = 32
"""A thumbnail's side: the whole picture, grey, stretched to a square."""

SHARP_FROM = 96
"""Pixels below which an image is too small to say whether it is blurred."""

LOOK = np.dtype(
    [
        ("thumbnail", "u1", (SIDE, SIDE)),
        ("spread", "<f4"),
        ("sharpness", "<f4"),
        ("colour", "<f4"),
        ("bytes", "<u4"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("mode", "S8"),
        ("format", "S8"),
        ("camera", "S40"),
        ("day", "S10"),
    ]
)
"""A look as one row. `spread` is the largest deviation of a colour in the thumbnail, `colour` the mean of
max(R, G, B) - min(R, G, B), both 0 to 255; `sharpness` the variance of the Laplacian over that of the pixels, NaN for a
small image."""

VERSION = 1
"""Raised whenever a look is made otherwise, so that kept ones are not taken for today's."""

Looks: TypeAlias = NDArray[np.void]
"""(N,) of `LOOK`."""


def look(image: Image.Image, pixels: Pixels, facts: Facts, size: int) -> np.void:
    """An upright image, the pixels (H, W, C) that the net sees of it, its file's facts and bytes → its look."""
    # Most of the shrinking by whole steps, which costs a tenth of a filter; a photo smaller than that grows smoothly.
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=1.01)
    row: np.void = np.zeros(1, LOOK)[0]
    row["thumbnail"] = np.asarray(small.convert("L"))
    colours = np.asarray(small).reshape(SIDE * SIDE, -1).T.astype(np.float32)
    row["spread"] = colours.std(axis=1).max()
    row["colour"] = (np.maximum.reduce(colours) - np.minimum.reduce(colours)).mean()
    row["sharpness"] = sharpness(pixels)
    row["bytes"], row["width"], row["height"] = size, facts.width, facts.height
    for name in ("mode", "format", "camera", "day"):
        row[name] = getattr(facts, name).encode("ascii", "replace")
    return row


def sharpness(pixels: Pixels) -> float:
    """Pixels (H, W, C) → variance of the Laplacian over that of the pixels; NaN where there are too few."""
    if min(pixels.shape[:2]) < SHARP_FROM:
        return float("nan")
    # Green is nearest to what the eye sees as brightness. Every other row tells as much at half the price.
    plane = pixels[:, :, pixels.shape[2] // 2].astype(np.int16)
    middle = plane[1:-1:2, 1:-1]
    laplacian = 4 * middle - plane[:-2:2, 1:-1] - plane[2::2, 1:-1] - plane[1:-1:2, :-2] - plane[1:-1:2, 2:]
    return float(laplacian.var(dtype=np.float32) / (middle.var(dtype=np.float32) + np.float32(1)))


@final
class Album:
    """Looks by photo digest: from the store, where there is one."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store

    def get(self, digests: Sequence[bytes]) -> dict[bytes, np.void]:
        """The looks that are known of these photos."""
        found = self._store.get(digests) if self._store else {}
        return {digest: row.view(LOOK)[0] for digest, row in found.items() if row.nbytes == LOOK.itemsize}

    def put(self, found: Mapping[bytes, np.void]) -> None:
        """Keep these looks."""
        if self._store and found:
            self._store.put({digest: np.frombuffer(row.tobytes(), np.uint8) for digest, row in found.items()})


@contextmanager
def album(geometry: Geometry, keep: bool) -> Iterator[Album]:
    """The looks of photos as they are decoded for that geometry; with `keep` they come from the store and go there."""
    if not keep:
        yield Album()
        return
    store = Store(cache_folder(), look_context(geometry), "|u1")
    try:
        yield Album(store)
    finally:
        store.close()


def look_context(geometry: Geometry) -> bytes:
    """What makes a look, as a digest for the store: a JPEG is decoded no larger than the geometry needs."""
    value: list[Any] = ["look", VERSION, geometry.as_json()]
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
