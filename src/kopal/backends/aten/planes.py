"""Operators on planes: pooling and normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from kopal.backends.aten.page import Constant, Page, Value, Write

Tensor = Value | Constant


def _max_pool(
    page: Page,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> str:
    window = _window(kernel, stride, padding)
    return page.node("MaxPool", x, dilations=_pair(dilation), ceil_mode=int(ceil), **window)


def _mean_pool(
    page: Page,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
    padding_counts: bool,
    divisor: int | None,
) -> str:
    padded = any(padding)
    if divisor or (ceil and padded and padding_counts):
        raise page.unfit("a divisor, or a last window that hangs over padding")
    # Without padding a window counts the pixels that it covers, also where it hangs over the edge.
    counts = int(padding_counts and padded)
    return page.node(
        "AveragePool", x, ceil_mode=int(ceil), count_include_pad=counts, **_window(kernel, stride, padding)
    )


def _adaptive_max_pool(page: Page, x: Tensor, size: Sequence[int]) -> list[str]:
    if page.output[-2:] != (1, 1):
        raise page.unfit("to more than one pixel")
    return [page.node("ReduceMax", x, axes=[2, 3], keepdims=1)]


def _batch_norm(
    page: Page,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    epsilon: float,
) -> list[str]:
    channels = x.shape[1]
    ones, zeros = np.ones(channels or 0), np.zeros(channels or 0)
    scale = page.constant(ones) if weight is None else weight
    shift = page.constant(zeros) if bias is None else bias
    return [page.node("BatchNormalization", x, scale, shift, mean, variance, epsilon=epsilon)]


def _layer_norm(
    page: Page,
    x: Tensor,
    sides: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    epsilon: float,
    *rest: object,
) -> str:
    scale = page.constant(np.ones(sides)) if weight is None else weight
    shift = [] if bias is None else [bias]
    return page.node("LayerNormalization", x, scale, *shift, axis=-len(sides), epsilon=epsilon)


def _rms_norm(page: Page, x: Tensor, sides: Sequence[int], weight: Tensor | None, epsilon: float | None) -> str:
    """The quotient x / sqrt(mean of x² + epsilon), times weight, arXiv:1910.07467."""
    axes = list(range(len(x.shape) - len(sides), len(x.shape)))
    mean = page.node("ReduceMean", page.node("Mul", x, x), axes=axes, keepdims=1)
    spread = page.node("Sqrt", page.node("Add", mean, float(np.finfo(np.float32).eps if epsilon is None else epsilon)))
    normal = page.node("Div", x, spread)
    return normal if weight is None else page.node("Mul", normal, weight)


def _group_norm(
    page: Page,
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    epsilon: float,
    *rest: object,
) -> str:
    """Each group of channels as one plane, arXiv:1803.08494."""
    if any(side is None for side in x.shape[1:]):
        raise page.unfit("sizes that depend on the number of images")
    channels, *sides = (side or 0 for side in x.shape[1:])
    planes = page.reshape(x, (None, groups, channels // groups * prod(sides)))
    identity = page.constant(np.ones(groups)), page.constant(np.zeros(groups))
    normal = page.reshape(page.node("InstanceNormalization", planes, *identity, epsilon=epsilon), page.output)
    across = (channels, *[1] * len(sides))
    for op, parameter in (("Mul", weight), ("Add", bias)):
        if parameter is not None:
            normal = page.node(op, normal, page.reshape(parameter, across))
    return normal


def _window(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> dict[str, list[int]]:
    return {"kernel_shape": _pair(kernel), "strides": _pair(stride or kernel), "pads": _pair(padding) * 2}


def _pair(numbers: Sequence[int]) -> list[int]:
    return list(numbers) * 2 if len(numbers) == 1 else list(numbers)


PLANES: Mapping[str, Write] = {
    "aten.max_pool2d.default": _max_pool,
    "aten.avg_pool2d.default": _mean_pool,
    "aten.adaptive_max_pool2d.default": _adaptive_max_pool,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "aten.layer_norm.default": _layer_norm,
    "aten.rms_norm.default": _rms_norm,
    "aten.group_norm.default": _group_norm,
}
