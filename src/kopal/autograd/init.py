"""Where weights start. A pure function of a generator and a shape each; arrays come as float32.

Weights are (out, in) or (out, in, h, w): a number of the output is a sum over fan-in = in · h · w numbers, and the
variance of that sum is what the formulas keep constant from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from kopal.autograd.errors import AutogradError, ShapeMismatch

Shape = tuple[int, ...]
Weights = NDArray[np.float32]


def normal(rng: np.random.Generator, shape: Shape, sigma: float = 0.001) -> Weights:
    """Mean 0, standard deviation `sigma`: enough for one layer; ten layers of it hardly move."""
    return sigma * rng.standard_normal(shape, np.float32)


def xavier(rng: np.random.Generator, shape: Shape) -> Weights:
    """Uniform within ±√(6 / (fan-in + fan-out)), for tanh and sigmoid (Glorot and Bengio 2010, equation 16)."""
    bound = sqrt(6 / max(1, sum(fans(shape))))
    return np.float32(bound) * (2 * rng.random(shape, np.float32) - 1)


def he(rng: np.random.Generator, shape: Shape) -> Weights:
    """Normal with standard deviation √(2 / fan-in), for ReLU, which halves the variance (arXiv:1502.01852)."""
    return normal(rng, shape, sqrt(2 / max(1, fans(shape)[0])))


def zero(rng: np.random.Generator, shape: Shape) -> Weights:
    """All zero: right for biases, hopeless for two layers in a row."""
    return np.zeros(shape, np.float32)


INITIALISERS: dict[str, Callable[[np.random.Generator, Shape], Weights]] = {
    "normal": normal,
    "xavier": xavier,
    "he": he,
    "zero": zero,
}


def initialise(name: str, rng: np.random.Generator, shape: Shape) -> Weights:
    """Weights of a shape by the initialiser of that name. Raises `AutogradError` for an unknown one."""
    if name not in INITIALISERS:
        raise AutogradError(f"unknown initialiser {name!r}", f"one of: {', '.join(INITIALISERS)}")
    return INITIALISERS[name](rng, shape)


def fans(shape: Shape) -> tuple[int, int]:
    """(fan-in, fan-out) of a weight (out, in, …)."""
    if len(shape) < 2:
        raise ShapeMismatch(f"fan-in and fan-out of shape {shape}", "a weight (out, in) or (out, in, h, w)")
    area = prod(shape[2:])
    return shape[1] * area, shape[0] * area
