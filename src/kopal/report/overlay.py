"""A photo under the map of an answer: grey, red where it speaks for the class, blue where against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels
from kopal.attribution import Attribution

FOR, AGAINST = (0.80, 0.10, 0.05), (0.10, 0.30, 0.80)
STRENGTH = 0.62
"""How much of a place's colour the strongest evidence takes."""


def overlaid(pixels: Pixels, attribution: Attribution) -> NDArray[np.float64]:
    """A photo's pixels (H, W, C) and its map → (H, W, 3) in 0..1."""
    height, width, _ = pixels.shape
    grey = pixels.mean(axis=2, keepdims=True) / 255
    worth = attribution.stretched(height, width)
    strongest = float(np.abs(worth).max()) or 1.0
    share = np.abs(worth)[..., None] / strongest * STRENGTH
    colour = np.where(worth[..., None] > 0, np.array(FOR), np.array(AGAINST))
    return np.asarray(grey * (1 - share) + colour * share)
