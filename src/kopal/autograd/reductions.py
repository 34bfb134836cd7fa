"""Many numbers to one: sum, mean and largest, over all axes or some."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array, Function

Axis: TypeAlias = int | tuple[int, ...] | None


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape after a reduction that keeps the reduced axes as ones."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    reduced = {a % len(shape) for a in axes}
    return tuple(1 if a in reduced else side for a, side in enumerate(shape))


class Sum(Function):
    """Σ x: every summand passes the whole gradient on."""

    @staticmethod
    def forward(x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Any, Any]:
        return x.sum(axis=axis, keepdims=keepdims), (x.shape, kept_shape(x.shape, axis))

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        shape, kept = cache
        return np.broadcast_to(dz.reshape(kept), shape)


class Mean(Function):
    """Σ x / n: every summand gets its n-th part."""

    @staticmethod
    def forward(x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Any, Any]:
        _refuse_empty("mean", x, axis)
        z = x.mean(axis=axis, keepdims=keepdims)
        return z, (x.shape, kept_shape(x.shape, axis), z.size / x.size if x.size else 1.0)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        shape, kept, share = cache
        return np.broadcast_to(dz.reshape(kept) * dz.dtype.type(share), shape)


class Max(Function):
    """The largest; where several are equal they share the gradient evenly."""

    @staticmethod
    def forward(x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Any, Any]:
        _refuse_empty("max", x, axis)
        z = x.max(axis=axis, keepdims=True)
        return z if keepdims else z.reshape(x.max(axis=axis).shape), (x, z, axis)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, z, axis = cache
        largest = x == z
        share = dz.reshape(z.shape) / largest.sum(axis=axis, keepdims=True, dtype=dz.dtype)
        return largest * share


def _refuse_empty(name: str, x: Array, axis: Axis) -> None:
    kept = kept_shape(x.shape, axis)
    if x.size == 0 and any(side == 0 and left == 1 for side, left in zip(x.shape, kept, strict=True)):
        raise ShapeMismatch(f"{name} over no values: shape {x.shape}, axis {axis}", "at least one value to reduce")
