"""The one training loop: data, model, criterion and optimiser are given; this is step four.

A generator, so there is no trainer and there are no callbacks: `for epoch in epochs(...)` is the loop's user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Pixels, Scores
from kopal.descent import diverged
from kopal.errors import DataError, UsageError
from kopal.metrics import log_loss, photo_weights
from kopal.stopping import Rule

SCORE_BATCH = 512


class Learner(Protocol):
    """A model that is being trained, on whatever engine."""

    def learn(self, pixels: Pixels, labels: Labels, rate: float) -> float:
        """One step on one batch: forward, loss, backward, update; returns the mean loss before it."""
        ...

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels uint8 (N, H, W, C) → scores (N, K), as at the end: no dropout, no learning."""
        ...

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """A copy of all weights."""
        ...


@dataclass(frozen=True)
class Epoch:
    """One pass over the training photos. `train_loss` runs along while the weights change; validation comes after.

    `best` marks the least validation loss so far; `stopped` is the reason when this epoch is the last.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    rate: float
    images_per_second: float
    seconds: float
    best: bool
    stopped: str = ""


@dataclass(frozen=True)
class Photographs:
    """Pixels uint8 (N, H, W, C) with labels (N,)."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


def epochs(
    learner: Learner,
    train: Photographs,
    validation: Photographs,
    batch: int,
    rates: Callable[[float], float],
    stop: Rule,
    seed: int,
    balance: bool = False,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[Epoch]:
    """Train until `stop` says so, an `Epoch` at a time; `step` hears how many photos of the epoch are done.

    `rates` gives the learning rate after so many epochs, fractions included. With `balance` photos are drawn so that
    every class comes as often, else each photo comes once.

    Raises `Diverged`, `DataError`, `UsageError`.
    """
    if batch < 1:
        raise UsageError(f"batch size {batch}", "1 or more")
    if not len(train) or not len(validation):
        raise DataError("no photos to train or to validate on", "at least one in each part")
    watch, best, number = stop.watch(), float("inf"), 0
    before = learner.weights()
    shares = photo_weights(train.labels, int(train.labels.max()) + 1, balance).astype(np.float64)
    shares /= shares.sum()
    while True:
        number += 1
        started = perf_counter()
        total, rate = 0.0, 0.0
        # The order depends on seed and epoch alone, so a resumed training sees the photos as an uninterrupted one.
        rng = np.random.default_rng([seed, number])
        order = rng.choice(len(train), len(train), p=shares) if balance else rng.permutation(len(train))
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            rate = rates(number - 1 + first / len(order))
            step_loss = learner.learn(train.pixels[chosen], train.labels[chosen], rate)
            if not np.isfinite(step_loss):
                raise diverged((number - 1) * -(-len(order) // batch) + first // batch + 1, step_loss, rate)
            total += step_loss * len(chosen)
            step(first + len(chosen), len(order))
        learned = perf_counter() - started
        scored = score(learner, validation.pixels)
        loss = log_loss(scored, validation.labels)
        if not np.isfinite(loss):
            raise diverged(number * -(-len(order) // batch), loss, rate)
        after = learner.weights()
        moved = max(float(np.abs(after[name] - before[name]).max(initial=0)) for name in after)
        before = after
        stopped = watch(number, loss, moved)
        accuracy = float((scored.argmax(axis=1) == validation.labels).mean())
        yield Epoch(
            number,
            total / len(order),
            loss,
            accuracy,
            rate,
            len(order) / learned,
            perf_counter() - started,
            loss < best,
            stopped,
        )
        best = min(best, loss)
        if stopped:
            return


def score(learner: Learner, pixels: Pixels) -> Scores:
    """Pixels (N, H, W, C) → scores (N, K), a batch at a time."""
    pieces = [learner.scores(pixels[first : first + SCORE_BATCH]) for first in range(0, len(pixels), SCORE_BATCH)]
    return np.concatenate(pieces)
