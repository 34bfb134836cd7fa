"""The fully connected layer, s = w·x + b, and dropout, which so often stands before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.errors import AutogradError, ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply


def linear(x: Tensor | Array, weight: Tensor | Array, bias: Tensor | Array | None = None) -> Tensor:
    """The affine map x wᵀ + b: x (N, D), weight (K, D), bias (K,) → scores (N, K)."""
    if len(x.shape) != 2 or len(weight.shape) != 2 or x.shape[1] != weight.shape[1]:
        raise ShapeMismatch(f"linear of x {x.shape} with weight {weight.shape}", "x (N, D) and weight (K, D)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeMismatch(f"linear with weight {weight.shape} and bias {bias.shape}", "weight (K, D) and bias (K,)")
    return apply(Linear, x, weight, bias)


class Linear(Function):
    """x wᵀ + b, one row per sample."""

    @staticmethod
    def forward(x: Array, weight: Array, bias: Array | None) -> tuple[Any, Any]:
        z = x @ weight.T
        if bias is not None:
            z += bias
        return z, (x, weight, bias is not None)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, has_bias = cache
        # Flattened convolutions stand samples last; their gradient should too, or every slice after it is slow.
        turned = x.T.flags.c_contiguous and not x.flags.c_contiguous
        return (
            lambda: (weight.T @ dz.T).T if turned else dz @ weight,
            lambda: dz.T @ x,
            (lambda: dz.sum(axis=0)) if has_bias else None,
        )


def dropout(x: Tensor, rate: float, rng: np.random.Generator) -> Tensor:
    """Zero a share `rate` of the values and scale the rest up, so that the mean stays; for training only."""
    if not 0 <= rate < 1:
        raise AutogradError(f"dropout at a rate of {rate}", "at least 0 and less than 1")
    kept = rng.random(x.shape, np.float32) >= rate
    return apply(Dropout, x, kept=kept, scale=x.dtype.type(1 / (1 - rate)))


class Dropout(Function):
    """x · kept · scale: what was dropped learns nothing this time."""

    @staticmethod
    def forward(x: Array, kept: Array, scale: Any) -> tuple[Any, Any]:
        return x * kept * scale, (kept, scale)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        kept, scale = cache
        return dz * kept * scale
