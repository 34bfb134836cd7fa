"""How the learning rate goes down while a training goes on: a factor for every share of the steps that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import cos, pi
from typing import TypeAlias

Schedule: TypeAlias = Callable[[float], float]
"""0 at the start, 1 after the last step that may come → the factor of the rate."""


def constant(done: float) -> float:
    """The same rate all the way."""
    return 1.0


def cosine(done: float) -> float:
    """From the whole rate to nothing along half a cosine: long steps first, fine ones last (arXiv:1608.03983)."""
    return (1 + cos(pi * min(1.0, done))) / 2


SCHEDULES: Mapping[str, Schedule] = {"constant": constant, "cosine": cosine}
