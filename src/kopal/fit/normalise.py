"""Preprocessing, the lecture's three ways: subtract the mean pixel, the mean image, or standardise each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels
from kopal.errors import DataError, UsageError
from kopal.fit.learner import Photographs

Way: TypeAlias = Literal["pixel", "image", "channel"]
WAYS: tuple[Way, ...] = ("pixel", "image", "channel")
BLOCK = 256

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Normalisation:
    """(pixels - mean) / deviation; `mean` is (C,) or (H, W, C), `deviation` (C,), both in pixel values 0..255."""

    mean: Matrix
    deviation: Matrix

    def flat(self, pixels: Pixels) -> Matrix:
        """Pixels uint8 (N, H, W, C) → normalised rows (N, H·W·C) float32."""
        mean, scale = self.rows(int(np.prod(pixels.shape[1:])))
        return (pixels.reshape(len(pixels), -1).astype(np.float32) - mean) * scale

    def rows(self, dimension: int) -> tuple[Matrix, Matrix]:
        """The mean and 1 / deviation of each number of a flat photo: (D,), (D,)."""
        times = dimension // self.deviation.size
        mean = self.mean.reshape(-1) if self.mean.size == dimension else np.tile(self.mean, times)
        return mean, np.tile(1 / self.deviation, times)


def measure(photographs: Photographs, way: Way) -> Normalisation:
    """The constants of one way, from training photos, in blocks: no copy of the set."""
    if way not in WAYS:
        raise UsageError(f"unknown normalisation {way!r}", " or ".join(WAYS))
    if not len(photographs):
        raise DataError("no photos to take a mean of", "at least one")
    image = photographs.pixels.shape[1:]
    total = np.zeros(image, np.float64)
    squares = np.zeros(image[2], np.float64)
    for start in range(0, len(photographs), BLOCK):
        block = photographs.take(slice(start, start + BLOCK)).astype(np.float64)
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=(0, 1, 2))
    average = total / len(photographs)
    channel = average.mean(axis=(0, 1))
    spread = np.sqrt(np.maximum(squares / (len(photographs) * image[0] * image[1]) - np.square(channel), 0))
    # A channel that never varies carries nothing; 255 keeps it where it is.
    spread[spread == 0] = 255
    mean = average if way == "image" else channel
    deviation = spread if way == "channel" else np.full_like(spread, 255)
    return Normalisation(mean.astype(np.float32), deviation.astype(np.float32))
