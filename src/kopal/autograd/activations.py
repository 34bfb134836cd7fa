"""The functions between layers, by name: one number in, one number out."""

from __future__ import annotations

from kopal.autograd import elementwise
from kopal.autograd.errors import AutogradError
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply

ACTIVATIONS: dict[str, type[Function]] = {
    "relu": elementwise.ReLU,
    "relu6": elementwise.ReLU6,
    "sigmoid": elementwise.Sigmoid,
    "tanh": elementwise.Tanh,
    "silu": elementwise.SiLU,
}


def activation(name: str, x: Tensor | Array) -> Tensor:
    """The activation of that name. Raises `AutogradError` for an unknown one."""
    if name not in ACTIVATIONS:
        raise AutogradError(f"unknown activation {name!r}", f"one of: {', '.join(ACTIVATIONS)}")
    return apply(ACTIVATIONS[name], x)


def relu(x: Tensor | Array) -> Tensor:
    """max(x, 0)."""
    return apply(elementwise.ReLU, x)


def relu6(x: Tensor | Array) -> Tensor:
    """min(max(x, 0), 6)."""
    return apply(elementwise.ReLU6, x)


def sigmoid(x: Tensor | Array) -> Tensor:
    """1 / (1 + e^-x)."""
    return apply(elementwise.Sigmoid, x)


def tanh(x: Tensor | Array) -> Tensor:
    """(e^x - e^-x) / (e^x + e^-x)."""
    return apply(elementwise.Tanh, x)


def silu(x: Tensor | Array) -> Tensor:
    """The SiLU, x · sigmoid(x)."""
    return apply(elementwise.SiLU, x)
