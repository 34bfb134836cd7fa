"""Arithmetic with broadcasting, and the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.function import Array, Function


def sum_to(dz: Array, shape: tuple[int, ...]) -> Array:
    """The derivative of broadcasting: what was copied along an axis is summed over it."""
    if dz.shape == shape:
        return dz
    added = dz.ndim - len(shape)
    stretched = (added + axis for axis, side in enumerate(shape) if side == 1 and dz.shape[added + axis] != 1)
    return np.asarray(dz.sum(axis=(*range(added), *stretched))).reshape(shape)


class Add(Function):
    """a + b."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        return a + b, (a.shape, b.shape)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a_shape, b_shape = cache
        return sum_to(dz, a_shape), sum_to(dz, b_shape)


class Subtract(Function):
    """a - b."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        return a - b, (a.shape, b.shape)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a_shape, b_shape = cache
        return sum_to(dz, a_shape), lambda: sum_to(-dz, b_shape)


class Multiply(Function):
    """a · b, element by element; with b (N, C, 1, 1) the channel gate of squeeze-excite."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        return a * b, (a, b)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a, b = cache
        return lambda: sum_to(dz * b, a.shape), lambda: sum_to(dz * a, b.shape)


class Divide(Function):
    """a / b."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        z = a / b
        return z, (a.shape, b, z)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a_shape, b, z = cache
        return lambda: sum_to(dz / b, a_shape), lambda: sum_to(-dz * z / b, b.shape)


class Negate(Function):
    """-x."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        return -x, None

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        return -dz


class Power(Function):
    """a to the power b; the derivative by b exists for a > 0 and is taken as 0 at a = 0."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        z = a**b
        return z, (a, b, z)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a, b, z = cache
        # b = 0 is a constant: its slope is 0 also at a = 0, where 0 · 0^-1 is not a number.
        return (
            lambda: sum_to(dz * b * a ** np.where(b == 0, np.ones_like(b), b - 1), a.shape),
            lambda: sum_to(dz * z * np.log(a, out=np.zeros_like(a), where=a > 0), b.shape),
        )


class MatMul(Function):
    """a @ b with NumPy's rules: vectors, matrices, and stacks of matrices that broadcast."""

    @staticmethod
    def forward(a: Array, b: Array) -> tuple[Any, Any]:
        return a @ b, (a, b)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        a, b = cache
        # A vector on the left is a row, on the right a column; then every case is the one of matrices.
        rows = a[None] if a.ndim == 1 else a
        columns = b[:, None] if b.ndim == 1 else b
        slope = dz[..., None] if b.ndim == 1 else dz
        slope = slope[..., None, :] if a.ndim == 1 else slope
        return (
            lambda: sum_to(slope @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape),
            lambda: sum_to(rows.swapaxes(-1, -2) @ slope, columns.shape).reshape(b.shape),
        )
