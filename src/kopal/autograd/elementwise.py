"""Functions of one number, element by element. Each keeps whichever of x and z makes its derivative short."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.function import Array, Function


class Exp(Function):
    """e^x."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        z = np.exp(x)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz * z


class Log(Function):
    """The natural logarithm."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        return np.log(x), x

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x = cache
        return dz / x


class Sqrt(Function):
    """√x."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        z = np.sqrt(x)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz / (z + z)


class Tanh(Function):
    """The hyperbolic tangent."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        z = np.tanh(x)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz * (1 - z * z)


class Sigmoid(Function):
    """1 / (1 + e^-x), without an exponent that could overflow."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        z = sigmoid_of(x)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz * z * (1 - z)


class ReLU(Function):
    """max(x, 0); its slope at 0 is taken as 0."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        # clip with two bounds is twice as fast as maximum with one number (NumPy 2.4).
        z = x.clip(0, np.inf)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz * (z > 0)


class ReLU6(Function):
    """min(max(x, 0), 6): arXiv:1704.04861 keeps to it so that eight bits suffice."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        z = x.clip(0, 6)
        return z, z

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z = cache
        return dz * ((z > 0) & (z < 6))


class SiLU(Function):
    """x · sigmoid(x), arXiv:1702.03118."""

    @staticmethod
    def forward(x: Array) -> tuple[Any, Any]:
        return x * sigmoid_of(x), x

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x = cache
        gate = sigmoid_of(x)
        return dz * gate * (1 + x * (1 - gate))


def sigmoid_of(x: Array) -> Array:
    """1 / (1 + e^-x) for x ≥ 0 and e^x / (1 + e^x) for x < 0: the exponent is never positive."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, x.dtype.type(1), small) / (1 + small))
