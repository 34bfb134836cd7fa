"""Finding a learning rate: a hundred steps, each a little longer than the last, and a look at what the loss did.

The sweep is Leslie Smith's (arXiv:1506.01186, section 3.3). The learner is put back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from kopal.errors import Diverged
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Lesson, batches_of_epoch
from kopal.fit.world import ALONE, World

Series = NDArray[np.float64]
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
REMEMBERED = 0.9
"""What the running mean of the loss keeps of itself at each step."""
LOST = 3.0
"""The sweep ends when the smoothed loss is so many times its best."""


@dataclass(frozen=True)
class Sweep:
    """The measured curve: `rates` (S,), the `losses` (S,) of the steps, and their running mean, `smoothed` (S,)."""

    rates: Series
    losses: Series
    smoothed: Series

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest, per factor of the rate."""
        return float(self.rates[int(np.gradient(self.smoothed).argmin())])

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is least: one more and it rises."""
        return float(self.rates[int(self.smoothed.argmin())])

    @property
    def valley(self) -> float:
        """The middle, on the logarithmic axis, of the longest stretch down: far from both ends of what works."""
        first, last = self._descent()
        return float(np.sqrt(self.rates[first] * self.rates[last]))

    @property
    def diverging(self) -> float:
        """The rate from which the smoothed loss is above where it started; infinite if it never was."""
        bottom = int(self.smoothed.argmin())
        above = np.flatnonzero(self.smoothed[bottom:] > self.smoothed[0])
        return float(self.rates[bottom + above[0]]) if len(above) else float("inf")

    @property
    def too_low(self) -> float:
        """The rate below which a hundred steps gain less than a tenth of what the best of them do."""
        fallen = self.smoothed[0] - np.minimum.accumulate(self.smoothed)
        return float(self.rates[int((fallen >= 0.1 * fallen[-1]).argmax())])

    @property
    def learns(self) -> bool:
        """Whether any rate of the sweep brought the loss down by a twentieth."""
        return bool(self.smoothed.min() < 0.95 * self.smoothed[0])

    def _descent(self) -> tuple[int, int]:
        """The ends of the stretch of falling smoothed loss that falls farthest, small bumps forgiven."""
        bottom = int(self.smoothed.argmin())
        fallen = self.smoothed[0] - self.smoothed[: bottom + 1]
        return int((fallen >= 0.1 * fallen[-1]).argmax()), bottom


def sweep(learner: Learner, train: Photographs, lesson: Lesson, world: World = ALONE, steps: int = STEPS) -> Sweep:
    """Steps at rates from 1e-6 to 10, each longer than the last by the same factor, until the loss is lost.

    Raises `Diverged` where even the smallest rates give no finite loss.
    """
    before = learner.state()
    rates = np.geomspace(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for step, (rate, (chosen, epoch)) in enumerate(zip(rates, _forever(train, lesson, world), strict=False), start=1):
        mine = chosen[world.rank :: world.size]
        pixels, targets = lesson.prepare(train.take(mine), train.labels[mine], mine, epoch)
        (loss,) = world.sums(learner.learn(pixels, targets, float(rate), len(chosen)))
        if not np.isfinite(loss):
            break
        mean = REMEMBERED * mean + (1 - REMEMBERED) * loss
        losses.append(loss)
        # The running mean began at zero; the division undoes that.
        smoothed.append(mean / (1 - REMEMBERED**step))
        if smoothed[-1] > LOST * min(smoothed):
            break
    learner.restore(before)
    if len(losses) < 3:
        raise Diverged(
            "the loss is not finite at any learning rate",
            "numbers to learn from",
            "another --init or --normalise, or --amp off",
        )
    return Sweep(rates[: len(losses)], np.array(losses), np.array(smoothed))


def _forever(train: Photographs, lesson: Lesson, world: World) -> Iterator[tuple[NDArray[np.int64], int]]:
    for epoch in count(1):
        for chosen in batches_of_epoch(train, lesson, epoch, world):
            yield chosen, epoch


def advice(found: Sweep) -> list[str]:
    """The four regions of a rate, each with its borders, in words."""
    if not found.learns:
        return ["no rate brought the loss down: look at the labels, the --init and the --normalise"]
    lines = [
        f"below {found.too_low:.1g}: too low, hardly anything is learned",
        f"{found.too_low:.1g} to {found.lowest:.1g}: good",
    ]
    if found.diverging < float("inf"):
        lines += [
            f"{found.lowest:.1g} to {found.diverging:.1g}: high, the loss rises again",
            f"above {found.diverging:.1g}: diverging, worse than not to learn",
        ]
    else:
        lines.append(f"above {found.lowest:.1g}: high")
    return lines
