"""What the training loop needs: a model that can learn from a batch, and photos to take batches from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Floats, Labels, Pixels, Scores, one_hot

Targets: TypeAlias = Labels | Floats
"""Labels (N,), or distributions (N, K) where photos are mixed."""


def distributions(targets: Targets, classes: int, smoothing: float = 0.0) -> NDArray[np.float32]:
    """Targets as distributions (N, K), a share of each taken off and spread over all classes."""
    one = one_hot(targets.astype(np.int64), classes) if targets.ndim == 1 else targets
    return ((1 - smoothing) * one + smoothing / classes).astype(np.float32)


class Learner(Protocol):
    """A model that is being trained, on whatever engine."""

    def learn(self, pixels: Pixels, targets: Targets, rate: float, of: int = 0) -> float:
        """One step: forward, loss, backward, update; on `of` photos, where other processes have some of them.

        Returns this process's share of the mean loss before the step: the sum over its photos, divided by `of`.
        """
        ...

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels uint8 (N, H, W, C) → scores (N, K), as at the end: no dropout, no learning."""
        ...

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """A copy of all weights, as `scores` uses them."""
        ...

    def state(self) -> Mapping[str, NDArray[Any]]:
        """All that the next step depends on: weights, and the memory of the optimiser and of the average."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """The way back from `state`, of a learner that was made in the same way."""
        ...


@dataclass(frozen=True)
class Photographs:
    """Pixels uint8 (N, H, W, C), in memory or mapped from a file, with labels (n,): of all rows, or of `rows` (n,).

    Or what stands for them: the activations that a frozen half of a net has made of the photos.
    """

    pixels: NDArray[Any]
    labels: Labels
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.int64] | slice) -> Pixels:
        """The pixels of some photos, as an array of their own or a view."""
        return self.pixels[chosen if self.rows is None else self.rows[chosen]]
