"""Operators on elements, each with its neighbours in other tensors at most: arithmetic and activations."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt

from kopal.backends.aten.page import Operand, Page, Write


def _same(op: str) -> Write:
    return lambda page, x: page.node(op, x)


def _two(op: str) -> Write:
    return lambda page, x, y: page.node(op, x, y)


def _scaled(op: str) -> Write:
    return lambda page, x, y, alpha: page.node(op, x, y if alpha == 1 else page.node("Mul", y, alpha))


def _identity(page: Page, x: Operand, *rest: object) -> str:
    return page.operand(x)


def _dropout(page: Page, x: Operand, rate: float, training: bool) -> str:
    if training:
        raise page.unfit("it drops values in evaluation too; F.dropout wants training=self.training")
    return page.operand(x)


def _reverse_subtract(page: Page, x: Operand, y: float, alpha: float) -> str:
    return page.node("Sub", y, x if alpha == 1 else page.node("Mul", x, alpha))


def _power(page: Page, x: Operand, exponent: float) -> str:
    return page.node("Mul", x, x) if exponent == 2 else page.node("Pow", x, exponent)


def _square(page: Page, x: Operand) -> str:
    return page.node("Mul", x, x)


def _inverse_root(page: Page, x: Operand) -> str:
    return page.node("Reciprocal", page.node("Sqrt", x))


def _clamp(page: Page, x: Operand, low: Operand | None = None, high: Operand | None = None) -> str:
    limits = ["" if limit is None else page.operand(limit) for limit in (low, high)]
    return page.node("Clip", x, *(limits if limits[1] else limits[:1]))


def _clamp_max(page: Page, x: Operand, high: Operand) -> str:
    return _clamp(page, x, None, high)


def _gelu(page: Page, x: Operand, approximate: str) -> str:
    """The product x · Φ(x), arXiv:1606.08415, with Φ exact or by tanh."""
    if approximate == "tanh":
        cubed = page.node("Mul", page.node("Mul", page.node("Mul", x, x), x), 0.044715)
        bend = page.node("Tanh", page.node("Mul", page.node("Add", x, cubed), sqrt(2 / pi)))
    else:
        bend = page.node("Erf", page.node("Mul", x, 1 / sqrt(2)))
    return page.node("Mul", page.node("Mul", x, page.node("Add", bend, 1.0)), 0.5)


def _silu(page: Page, x: Operand) -> str:
    return page.node("Mul", x, page.node("Sigmoid", x))


def _mish(page: Page, x: Operand) -> str:
    return page.node("Mul", x, page.node("Tanh", page.node("Softplus", x)))


def _hard_sigmoid(page: Page, x: Operand) -> str:
    return page.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _leaky_relu(page: Page, x: Operand, slope: float) -> str:
    return page.node("LeakyRelu", x, alpha=float(slope))


def _elu(page: Page, x: Operand, alpha: float, scale: float, input_scale: float) -> str:
    if (scale, input_scale) != (1, 1):
        raise page.unfit("with scales")
    return page.node("Elu", x, alpha=float(alpha))


def _prelu(page: Page, x: Operand, slope: Operand) -> str:
    # max(x, 0) + slope · min(x, 0)
    return page.node("Add", page.node("Max", x, 0.0), page.node("Mul", page.node("Min", x, 0.0), slope))


def _softplus(page: Page, x: Operand, beta: float, threshold: float) -> str:
    if beta != 1:
        raise page.unfit(f"beta {beta}")
    return page.node("Softplus", x)


ELEMENTWISE: Mapping[str, Write] = {
    **{f"aten.{name}.default": _identity for name in ("alias", "clone", "contiguous", "detach", "type_as")},
    # Everything is float32 here; the walk refuses other types.
    "aten._to_copy.default": _identity,
    "aten.dropout.default": _dropout,
    "aten.abs.default": _same("Abs"),
    "aten.add.Tensor": _scaled("Add"),
    "aten.add.Scalar": _scaled("Add"),
    "aten.clamp.default": _clamp,
    "aten.clamp_max.default": _clamp_max,
    "aten.clamp_min.default": _clamp,
    "aten.div.Tensor": _two("Div"),
    "aten.div.Scalar": _two("Div"),
    "aten.elu.default": _elu,
    "aten.erf.default": _same("Erf"),
    "aten.exp.default": _same("Exp"),
    "aten.gelu.default": _gelu,
    "aten.hardsigmoid.default": _hard_sigmoid,
    "aten.hardswish.default": _same("HardSwish"),
    "aten.hardtanh.default": _clamp,
    "aten.leaky_relu.default": _leaky_relu,
    "aten.log.default": _same("Log"),
    "aten.maximum.default": _two("Max"),
    "aten.minimum.default": _two("Min"),
    "aten.mish.default": _mish,
    "aten.mul.Tensor": _two("Mul"),
    "aten.mul.Scalar": _two("Mul"),
    "aten.neg.default": _same("Neg"),
    "aten.pow.Tensor_Scalar": _power,
    "aten.prelu.default": _prelu,
    "aten.reciprocal.default": _same("Reciprocal"),
    "aten.relu.default": _same("Relu"),
    "aten.relu6.default": lambda page, x: _clamp(page, x, 0.0, 6.0),
    "aten.rsqrt.default": _inverse_root,
    "aten.rsub.Scalar": _reverse_subtract,
    "aten.sigmoid.default": _same("Sigmoid"),
    "aten.silu.default": _silu,
    "aten.softplus.default": _softplus,
    "aten.sqrt.default": _same("Sqrt"),
    "aten.square.default": _square,
    "aten.sub.Tensor": _scaled("Sub"),
    "aten.sub.Scalar": _scaled("Sub"),
    "aten.tanh.default": _same("Tanh"),
}
