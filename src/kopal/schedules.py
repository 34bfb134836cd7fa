"""How the learning rate changes while a training goes on: a factor for every share of it that is done.

Schedules are pure functions, so that a resumed training goes on where it was: what they need of the past, the
validation loss of each epoch, they are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi
from typing import TypeAlias

Schedule: TypeAlias = Callable[[float, Sequence[float]], float]
"""(share done: 0 at the start, 1 after the last step; validation losses so far) → the factor of the rate."""

Losses: TypeAlias = Sequence[float]

PLATEAU_PATIENCE, PLATEAU_FACTOR, PLATEAU_MARGIN = 3, 0.3, 1e-3
RISE, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000


def constant(done: float, losses: Losses) -> float:
    """The same rate all the way."""
    return 1.0


def step(done: float, losses: Losses) -> float:
    """A tenth after half of the training, a hundredth after three quarters, as ResNet has it (arXiv:1512.03385)."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def exponential(done: float, losses: Losses) -> float:
    """The same share less with every step, down to a hundredth."""
    return float(0.01 ** min(1.0, done))


def cosine(done: float, losses: Losses) -> float:
    """From the whole rate to nothing along half a cosine: long steps first, fine ones last (arXiv:1608.03983)."""
    return (1 + cos(pi * min(1.0, done))) / 2


def one_cycle(done: float, losses: Losses) -> float:
    """Up from a 25th for three tenths of the way, then down to next to nothing, along cosines (arXiv:1708.07120).

    The rate alone cycles; the momentum stays what it is.
    """
    done = min(1.0, done)
    if done < RISE:
        return FIRST + (1 - FIRST) * (1 - cos(pi * done / RISE)) / 2
    return LAST + (1 - LAST) * (1 + cos(pi * (done - RISE) / (1 - RISE))) / 2


def plateau(done: float, losses: Losses) -> float:
    """Three tenths of it whenever the validation loss has not fallen by a thousandth for three epochs."""
    factor, best, since = 1.0, float("inf"), 0
    for loss in losses:
        if loss < best * (1 - PLATEAU_MARGIN):
            best, since = loss, 0
        else:
            since += 1
        if since == PLATEAU_PATIENCE:
            factor, since = factor * PLATEAU_FACTOR, 0
    return factor


SCHEDULES: Mapping[str, Schedule] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "plateau": plateau,
}


def warmed_up(schedule: Schedule, share: float) -> Schedule:
    """The schedule after a linear rise from nothing over the first `share` of the training (arXiv:1706.02677)."""
    if not share:
        return schedule

    def rising(done: float, losses: Losses) -> float:
        return schedule(done, losses) * min(1.0, done / share) if done < share else schedule(done, losses)

    # The very first step would be of length 0: half a per cent of the rise stands in for it.
    return lambda done, losses: rising(max(done, share / 200), losses)
