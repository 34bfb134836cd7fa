"""The nearest neighbours: nothing is learned, the most similar photos vote.

Similar is a small angle between features, taken from their mean: the mean is what all photos have in common. Nearer
neighbours weigh more, exp((cos - 1) / width), as in arXiv:1805.01978.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores, one_hot
from kopal.fit.heads.head import Head, HeadKind, Option, floored_log
from kopal.nets.fold import Weights
from kopal.nets.heads import NEARLY, Neighbours
from kopal.nets.layers import Layer

BLOCK = 1024
TINY = 1e-12
MOST = 190_000
"""Photos above which their features, 1 280 numbers each, would make the file larger than a gigabyte."""


@dataclass(frozen=True)
class NeighboursHead:
    """References (M, D) of length 1, the mean (D,) that was taken off them, and their votes (M, K)."""

    mean: NDArray[np.float32]
    references: Features
    votes: NDArray[np.float32]
    nearest: int
    width: float

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        parts = [self._shares(features[start : start + BLOCK]) for start in range(0, len(features), BLOCK)]
        return floored_log(np.concatenate([np.empty((0, self.votes.shape[1]), np.float32), *parts]))

    def _shares(self, features: Features) -> Features:
        cosine = _unit(features - self.mean) @ self.references.T
        least = np.partition(cosine, -self.nearest, axis=1)[:, -self.nearest, None] - np.float32(NEARLY)
        weight = np.exp((cosine - 1) / np.float32(self.width)) * (cosine >= least)
        counts = weight @ self.votes
        return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)

    def layer(self) -> Layer:
        """A Neighbours leaf."""
        return Neighbours(self.votes.shape[1], len(self.references), self.nearest, self.width)

    def weights(self) -> Weights:
        """The leaf's arrays."""
        return {"references": self.references, "votes": self.votes, "mean": self.mean}

    def holds(self) -> str:
        """Every photo's features."""
        return f"{len(self.references)} reference features of your photos"


def fit(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A head per option: `k` neighbours, or all where there are fewer, and the `width` in which votes fade."""
    mean = ((weights / weights.sum()) @ features).astype(np.float32)
    references = _unit(features - mean)
    votes = np.asarray(one_hot(labels, classes) * weights[:, None], np.float32)
    return [
        NeighboursHead(mean, references, votes, min(int(option["k"]), len(labels)), option["width"])
        for option in options
    ]


def _unit(features: Features) -> Features:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(TINY)))


KNN = HeadKind(
    "knn",
    fit,
    tuple({"k": float(k), "width": width} for k in (5, 10, 20, 40, 80) for width in (0.03, 0.07)),
    tuple({"k": float(k), "width": 0.07} for k in (10, 20, 40)),
    MOST,
)
