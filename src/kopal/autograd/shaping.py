"""The same numbers in another order or shape: the gradient goes back the way they came."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.function import Array, Function


class Index(Function):
    """x[key], with every key that NumPy knows."""

    @staticmethod
    def forward(x: Array, key: Any) -> tuple[Any, Any]:
        return x[key], (x.shape, key)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        shape, key = cache
        dx = np.zeros(shape, dz.dtype)
        if _is_basic(key):
            dx[key] = dz
        else:
            # An array of indices may name one element several times; plain assignment would count it once.
            np.add.at(dx, key, dz)
        return dx


class Reshape(Function):
    """The same numbers in another shape."""

    @staticmethod
    def forward(x: Array, shape: tuple[int, ...]) -> tuple[Any, Any]:
        return x.reshape(shape), x.shape

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        shape = cache
        return dz.reshape(shape)


class Transpose(Function):
    """The axes in another order; without `axes`, reversed."""

    @staticmethod
    def forward(x: Array, axes: tuple[int, ...] | None = None) -> tuple[Any, Any]:
        axes = tuple(range(x.ndim))[::-1] if axes is None else axes
        return x.transpose(axes), [a % x.ndim for a in axes]

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        axes = cache
        return dz.transpose(sorted(range(len(axes)), key=axes.__getitem__))


class Concat(Function):
    """Arrays one after the other along an axis."""

    @staticmethod
    def forward(*arrays: Array, axis: int = 0) -> tuple[Any, Any]:
        return np.concatenate(arrays, axis=axis), (axis, [array.shape[axis] for array in arrays])

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        axis, sides = cache
        return tuple(np.split(dz, np.cumsum(sides)[:-1], axis=axis))


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    basic = (int, np.integer, slice, type(None), type(Ellipsis))
    return all(isinstance(part, basic) and not isinstance(part, bool) for part in parts)
