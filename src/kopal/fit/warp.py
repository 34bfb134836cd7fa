"""Flip, shift and resized crop of many photos in one pass: where each pixel of the result comes from.

All three are the same question along each axis on its own, so the answers are indices and weights, (N, H) and (N, W),
and the photos are gathered once per axis: no padded copy, no loop over photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
UNIT = 256
"""Weights are whole 256ths, as 255 · 256 fits 16 bits."""


@dataclass(frozen=True)
class Boxes:
    """A part of each of N photos, in shares of its height and width."""

    top: Numbers
    left: Numbers
    height: Numbers
    width: Numbers


@dataclass(frozen=True)
class Taps:
    """Along one axis, result (N, L): the source's pixel at `first`, and `weight` 256ths of `second` in its place."""

    first: Indices
    second: Indices
    weight: NDArray[np.uint16]


def boxes(area: Numbers, aspect: Numbers, top: Numbers, left: Numbers, most: float) -> Boxes:
    """Boxes of given shares of the photos' area, inside them; the other numbers (N,) are uniform in [0, 1).

    The aspect, relative to the photo's own, is log-uniform between 1/most and most, as far as such a box fits:
    sides √(area · aspect) and √(area / aspect) are at most 1 where aspect lies between area and 1/area.
    """
    half = np.exp((aspect - 0.5) * np.minimum(np.log(most), -np.log(area)))
    height, width = np.minimum(np.sqrt(area) * half, 1), np.minimum(np.sqrt(area) / half, 1)
    return Boxes(top * (1 - height), left * (1 - width), height, width)


def warp(pixels: Pixels, mirrored: NDArray[np.bool_], down: Indices, right: Indices, crop: Boxes | None) -> Pixels:
    """Pixels uint8 (N, H, W, C) moved `down` and `right` by whole pixels (N,), cropped, and mirrored where told.

    What a shift uncovers is reflected about the edge pixel, as np.pad's "reflect" does; shifts stay below a side. The
    crop of the shifted photo is enlarged to its size between pixels' centres, bilinear. An enlargement needs no
    antialiasing: this is Pillow's `resize(box=...)` up to rounding.
    """
    count, height, width, channels = pixels.shape
    straight = np.zeros(count, np.bool_)
    rows = np.arange(count)[:, None] * height
    if crop is None:
        first = rows + _reflected(_mirrored(np.arange(height) - down[:, None], straight), height)
        across = _reflected(_mirrored(np.arange(width) - right[:, None], mirrored), width)
        return _gathered(whole_pixels(pixels).reshape(-1), first[:, :, None] * width + across[:, None, :], pixels.shape)
    tall = _taps(height, crop.top, crop.height, down, straight)
    wide = _taps(width, crop.left, crop.width, right, mirrored)
    lines = np.ascontiguousarray(pixels).reshape(count * height, width * channels)
    above, below = (np.take(lines, rows + which, axis=0) for which in (tall.first, tall.second))
    items = whole_pixels(blend(above, below, tall.weight[:, :, None]).reshape(pixels.shape)).reshape(-1)
    starts = np.arange(count * height).reshape(count, height, 1) * width
    before, after = (_gathered(items, starts + which[:, None, :], above.shape) for which in (wide.first, wide.second))
    return blend(before, after, np.repeat(wide.weight, channels, axis=1)[:, None, :]).reshape(pixels.shape)


def blend(first: Pixels, second: Pixels, weight: NDArray[np.uint16]) -> Pixels:
    """Two arrays of pixels of one shape → `weight` 256ths of the second and the rest of the first, rounded."""
    mixed = first * (UNIT - weight).astype(np.uint16)
    mixed += second * weight
    mixed += np.uint16(UNIT // 2)
    mixed >>= np.uint16(8)
    return mixed.astype(np.uint8)


def whole_pixels(pixels: Pixels) -> NDArray[Any]:
    """Pixels uint8 (N, H, W, C) → (N, H, W), one item a pixel, which NumPy copies several times as fast as C bytes."""
    solid = np.ascontiguousarray(pixels)
    channels = solid.shape[3]
    return solid[..., 0] if channels == 1 else solid.view(np.dtype((np.void, channels)))[..., 0]


def _taps(side: int, start: Numbers, length: Numbers, shift: Indices, mirrored: NDArray[np.bool_]) -> Taps:
    at = start[:, None] * side + (np.arange(side) + 0.5) * length[:, None] - 0.5
    # Beyond the centre of an edge pixel lies that pixel.
    at = at.clip(0, side - 1)
    first = at.astype(np.int64)
    weight = np.rint((at - first) * UNIT).astype(np.uint16)
    second = np.minimum(first + 1, side - 1)
    first, second = (_reflected(which - shift[:, None], side) for which in (first, second))
    return Taps(_mirrored(first, mirrored), _mirrored(second, mirrored), _mirrored(weight, mirrored))


def _reflected(index: Indices, side: int) -> Indices:
    """Indices from 1 - side to 2 · side - 2 folded back into 0 .. side - 1, the edge pixel not doubled."""
    return np.asarray(side - 1 - np.abs(side - 1 - np.abs(index)))


def _mirrored(along: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(which[:, None], along[:, ::-1], along)


def _gathered(items: NDArray[Any], index: Indices, shape: tuple[int, ...]) -> Pixels:
    return np.take(items, index).view(np.uint8).reshape(shape)
