"""Gradient descent on any f: R → R or R^D → R, step by step, with its trace.

    x' = x - γ · df/dx

The gradient is the reader's own function or a difference quotient. Everything is float64: the lecture's table divides
differences of 0.001, which float32 cannot carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kopal.errors import Diverged, UsageError
from kopal.stopping import MaxSteps, Rule

Point: TypeAlias = NDArray[np.float64]
"""(D,), or () for a function of one number."""

Function: TypeAlias = Callable[[Point], ArrayLike]


@dataclass(frozen=True)
class Step:
    """The state before step t + 1: where we are, f there, its gradient there."""

    t: int
    x: Point
    value: float
    gradient: Point


def descend(
    f: Function,
    x0: ArrayLike,
    rate: float,
    gradient: Function | Literal["forward", "central"] = "central",
    h: float = 1e-3,
    stop: Rule = MaxSteps(100),  # noqa: B008 - frozen
) -> Iterator[Step]:
    """Walk downhill from x0, one `Step` at a time, until `stop` says so.

    Raises `UsageError` for a rate or h that is not above 0, `Diverged` when f, its gradient or x is no longer finite.
    """
    if not 0 < rate < float("inf"):
        raise UsageError(f"learning rate {rate}", "a number above 0")
    if not 0 < h < float("inf"):
        raise UsageError(f"difference h {h}", "a number above 0")
    x = np.array(x0, np.float64)
    slope = _differences(f, gradient, h) if isinstance(gradient, str) else gradient
    watch, moved, t = stop.watch(), 0.0, 0
    while True:
        with np.errstate(all="ignore"):  # an overflow is told below, once and in words
            value = float(np.asarray(f(x)))
            step = Step(t, x, value, np.asarray(slope(x), np.float64))
        if not (np.isfinite(x).all() and np.isfinite(value) and np.isfinite(step.gradient).all()):
            raise diverged(t, value, rate)
        yield step
        if watch(t, value, moved):
            return
        before, x, t = x, np.asarray(x - rate * step.gradient), t + 1
        moved = float(np.abs(x - before).max(initial=0))


def diverged(step: int, value: float, rate: float) -> Diverged:
    """The error of a descent that left the finite numbers."""
    return Diverged(
        f"the descent diverged: after step {step} the criterion is {value}",
        "finite numbers all the way down",
        f"lower the learning rate, for instance from {rate:g} to {rate / 10:g}",
    )


def _differences(f: Function, kind: Literal["forward", "central"], h: float) -> Function:
    if kind not in ("forward", "central"):
        raise UsageError(f"unknown gradient {kind!r}", "forward, central, or a function of x")

    def slope(x: Point) -> Point:
        here = float(np.asarray(f(x))) if kind == "forward" else 0.0
        result = np.empty_like(x)
        for place in np.ndindex(x.shape):
            ahead, behind = x.copy(), x.copy()
            ahead[place] += h
            if kind == "central":
                behind[place] -= h
            below = here if kind == "forward" else float(np.asarray(f(behind)))
            # Far out x + h rounds back to x: that difference is no slope, and 0 would look like a minimum.
            vanished = ahead[place] == behind[place]
            width = h if kind == "forward" else 2 * h
            result[place] = np.nan if vanished else (float(np.asarray(f(ahead))) - below) / width
        return result

    return slope
