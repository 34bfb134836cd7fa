"""Finding a learning rate: a hundred steps, each a little longer than the last, and a look at what the loss did.

The sweep is Leslie Smith's (arXiv:1506.01186, section 3.3). The learner is put back as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import DataError, Diverged
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Lesson, batches_of_epoch
from kopal.fit.world import ALONE, World

Series = NDArray[np.float64]
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
FEWEST = 3
REMEMBERED = 0.9
"""What the running mean of the loss, which says when to end, keeps of itself at each step."""
LOST = 3.0
"""The sweep ends when the running mean of the loss is so many times its best."""
WIDTH = 3.0
"""The deviation, in steps, of the bell over which the losses are averaged before anything is read off them."""
CAPPED = 2.0
"""Of the first loss: what is above counts as so much, or one lost step would weigh on all those before it."""
REMEDY = "look at the labels, the --init, the --normalise, and whether the --batch is large enough"
UNMOVED = 5
"""The first of so many parts of the sweep changes next to nothing: its mean loss is where the learner stood."""
GAIN, SURE = 0.05, 6.0
"""To count as learning the loss falls by so much of itself, and by so many deviations of what chance alone does."""


@dataclass(frozen=True)
class Sweep:
    """The measured curve: `rates` (S,) and the `losses` (S,) of the steps; from `lost` on the loss is lost, or inf."""

    rates: Series
    losses: Series
    lost: float = float("inf")

    @cached_property
    def smoothed(self) -> Series:
        """The losses (S,), each averaged with its neighbours on both sides: a running mean alone would lag behind."""
        capped = np.minimum(self.losses, CAPPED * self.losses[0])
        steps = np.arange(len(capped))
        weight = np.exp(-(((steps[:, None] - steps) / WIDTH) ** 2) / 2)
        return np.asarray(weight @ capped / weight.sum(axis=1))

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest, per factor of the rate, on its way down."""
        first, last = self._down_by(0.1), self._down_by(1.0)
        return float(self.rates[first + int(np.gradient(self.smoothed)[first : last + 1].argmin())])

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is least: from there on it rises."""
        return float(self.rates[self._down_by(1.0)])

    @property
    def valley(self) -> float:
        """The middle, on the logarithmic axis, of the way down: far from both ends of what works."""
        return float(np.sqrt(self.too_low * self.lowest))

    @property
    def diverging(self) -> float:
        """The rate from which the smoothed loss is above where it started, or lost; infinite if it never was."""
        bottom = int(self.smoothed.argmin())
        above = np.flatnonzero(self.smoothed[bottom:] > self.smoothed[0])
        return min(self.lost, float(self.rates[bottom + above[0]])) if len(above) else self.lost

    @property
    def too_low(self) -> float:
        """The rate below which the loss falls by less than a tenth of what the best rates gain."""
        return float(self.rates[self._down_by(0.1)])

    @property
    def suggested(self) -> float:
        """What `--lr auto` takes: where the smoothed loss has done nine tenths of its way down.

        On small nets it did best of all these, with SGD and AdamW (`benchmarks/lr_finder.py` trains at each): the
        bottom is flat, so that where exactly the loss is least is chance, and the middle of the way down is too low.
        """
        return float(self.rates[self._down_by(0.9)])

    @property
    def learns(self) -> bool:
        """Whether some rate brought the loss down, clearly more than chance does from batch to batch."""
        bottom = int(self.smoothed.argmin())
        noise = np.abs(self.losses - self.smoothed)
        # The median is deaf to a few lost steps; 1.48 makes a deviation of it, the root that of the bell's average.
        chance = 1.48 * float(np.median(noise)) / np.sqrt(2 * np.sqrt(np.pi) * WIDTH)
        start = float(self.losses[: max(1, len(self.losses) // UNMOVED)].mean())
        return bool(start - self.smoothed[bottom] > max(GAIN * start, SURE * chance))

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is infinite is None."""
        points = {name: getattr(self, name) for name in ("suggested", "steepest", "valley", "lowest", "too_low")}
        curve = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smoothed")}
        diverging = self.diverging if isfinite(self.diverging) else None
        return {"learns": self.learns, **points, "diverging": diverging, **curve}

    def _down_by(self, share: float) -> int:
        """The step from which the smoothed loss has done this share of its fall, for good until the bottom."""
        bottom = int(self.smoothed.argmin())
        fallen = self.smoothed[0] - self.smoothed[: bottom + 1]
        return int(np.flatnonzero(fallen < share * fallen[-1])[-1] + 1) if bottom else 0


def sweep(
    learner: Learner,
    train: Photographs,
    lesson: Lesson,
    world: World = ALONE,
    steps: int = STEPS,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Sweep:
    """Steps at rates from 1e-6 to 10, each longer than the last by the same factor, until the loss is lost.

    A set with fewer batches than that is gone through again. Raises `DataError`, and `Diverged` where even the
    smallest rates give no finite loss.
    """
    if not len(train):
        raise DataError("no photos to learn from", "at least one")
    before = learner.state()
    rates = np.geomspace(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    mean, best, lost = 0.0, float("inf"), float("inf")
    for step, (rate, (chosen, epoch)) in enumerate(zip(rates, _forever(train, lesson, world), strict=False), start=1):
        mine = chosen[world.rank :: world.size]
        pixels, targets = lesson.prepare(train.take(mine), train.labels[mine], mine, epoch)
        (loss,) = world.sums(learner.learn(pixels, targets, float(rate), len(chosen)))
        if not np.isfinite(loss):
            lost = float(rate)
            break
        losses.append(loss)
        mean = REMEMBERED * mean + (1 - REMEMBERED) * loss
        # The running mean began at zero; the division undoes that.
        now = mean / (1 - REMEMBERED**step)
        best = min(best, now)
        if now > LOST * best:
            lost = float(rate)
            break
        progress(step, steps)
    progress(steps, steps)
    learner.restore(before)
    if len(losses) < FEWEST:
        raise Diverged(
            "the loss is not finite at any learning rate",
            "numbers to learn from",
            "another --init or --normalise, or --amp off",
        )
    return Sweep(rates[: len(losses)], np.array(losses), lost)


def _forever(train: Photographs, lesson: Lesson, world: World) -> Iterator[tuple[NDArray[np.int64], int]]:
    for epoch in count(1):
        for chosen in batches_of_epoch(train, lesson, epoch, world):
            yield chosen, epoch


def advice(found: Sweep) -> list[str]:
    """The four regions of a rate, each with its borders, in words."""
    if not found.learns:
        return [f"no rate brought the loss down: {REMEDY}"]
    lines = [
        f"below {found.too_low:.1g}: too low, hardly anything is learned",
        f"{found.too_low:.1g} to {found.lowest:.1g}: good",
    ]
    if found.diverging < float("inf"):
        lines += [
            f"{found.lowest:.1g} to {found.diverging:.1g}: high, the loss rises again",
            f"above {found.diverging:.1g}: diverging, the loss is lost",
        ]
    else:
        lines.append(f"above {found.lowest:.1g}: high")
    return lines
