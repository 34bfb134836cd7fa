"""Brightness, contrast and saturation of many photos at once: one 3 x 3 matrix and one offset a photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels

Numbers = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
"""The grey of red, green and blue (ITU-R BT.601), as Pillow's convert("L") has it."""

EXACT = 1024
"""Coefficients are whole 1024ths: sums of their products with pixels are then exact in float32, so that a photo comes
out bit for bit the same in any batch and on any number of threads."""


def jitter(pixels: Pixels, brightness: Numbers, contrast: Numbers, saturation: Numbers) -> Pixels:
    """Pixels uint8 (N, H, W, C), factors from 0 to 2 (N,), of which 1 changes nothing → pixels uint8 (N, H, W, C).

    In turn b · x, then c · x + (1 - c) · mean grey of the photo, then s · x + (1 - s) · the pixel's grey: together
    c b (s x + (1 - s) grey(x)) + (1 - c) b · mean grey. Grey photos have no saturation. Clipped once, at the end.
    """
    count, height, width, channels = pixels.shape
    luma = LUMA if channels == 3 else np.ones(1)
    # Whole numbers, so that the order of summation does not matter either.
    sums = pixels.reshape(count, height, -1).sum(axis=1, dtype=np.uint32).reshape(count, width, channels).sum(axis=1)
    grey = (sums * luma).sum(axis=1) / (height * width)
    mixing = saturation[:, None, None] * np.eye(channels) + (1 - saturation)[:, None, None] * luma[:, None]
    matrix = _exact((brightness * contrast)[:, None, None] * mixing)
    offset = _exact((1 - contrast) * brightness * grey)
    numbers = pixels.reshape(count, height * width, channels).astype(np.float32)
    numbers = numbers @ matrix if channels > 1 else numbers * matrix
    numbers += offset[:, None, None]
    np.rint(numbers, out=numbers)
    return numbers.clip(0, 255, out=numbers).astype(np.uint8).reshape(pixels.shape)


def _exact(numbers: Numbers) -> NDArray[np.float32]:
    return (np.rint(numbers * EXACT) / EXACT).astype(np.float32)
