"""Features brought to mean 0 and deviation 1 by what the photos that are learned from say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features
from kopal.fit.logistic import Affine, inverse_deviation


@dataclass(frozen=True)
class Standard:
    """z = (x - mean) · scale: mean and scale (D,)."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def apply(self, features: Features) -> Features:
        """Features (N, D) → standardised features (N, D)."""
        return (features - self.mean) * self.scale

    def before(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Affine:
        """An affine map of standardised features → the same map of the features as they are."""
        own = weight * self.scale
        return Affine(own.astype(np.float32), (bias - own @ self.mean.astype(np.float64)).astype(np.float32))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The arrays of a head that standardises in the graph."""
        return {"mean": self.mean, "scale": self.scale}


def standard(features: Features, weights: NDArray[np.float32]) -> Standard:
    """The weighted mean and deviation of features (N, D), weights (N,); features that never vary become 0."""
    shares = (weights / weights.sum()).astype(np.float32)
    mean = shares @ features
    deviation = np.sqrt(shares @ np.square(features - mean))
    return Standard(mean, inverse_deviation(deviation))
