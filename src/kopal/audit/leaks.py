"""How much a test part flatters whose photos have twins among those that were learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Scores
from kopal.datasets import Labelled
from kopal.metrics import wilson


@dataclass(frozen=True)
class WithoutTwins:
    """The accuracy on the `n` photos of the test part that have no twin in the train part; `twins` have one.

    `accuracy` and its 95 % interval are NaN and (0, 1) where every photo has one.
    """

    twins: int
    n: int
    accuracy: float
    interval: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values; no accuracy where no photo is without a twin."""
        accuracy = self.accuracy if self.n else None
        return {"twins": self.twins, "n": self.n, "accuracy": accuracy, "interval": list(self.interval)}


def without_twins(photos: Labelled, scores: Scores) -> WithoutTwins | None:
    """Scores (N, K) of all photos → the test part's accuracy without its twins; None where it has none."""
    test = photos.where("test")
    twins = leaked(photos)
    if not twins.any():
        return None
    rest = test & ~twins
    n = int(rest.sum())
    right = int((scores[rest].argmax(axis=1) == photos.labels[rest]).sum())
    return WithoutTwins(int(twins.sum()), n, right / n if n else float("nan"), wilson(right, n))


def leaked(photos: Labelled) -> NDArray[np.bool_]:
    """(N,): which photos of the test part share a group with one that is learned from."""
    return photos.where("test") & np.isin(photos.groups, photos.groups[photos.where("train")])
