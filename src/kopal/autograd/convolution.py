"""Convolution: one more node, combined freely with the others."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from kopal.autograd.columns import (
    NO_PADDING,
    Padding,
    Pair,
    Window,
    blocks,
    columns,
    image_of,
    no_planes,
    planes_of,
    room,
    scatter,
    window_over,
)
from kopal.autograd.depthwise import Depthwise
from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply


def conv2d(
    x: Tensor | Array,
    weight: Tensor | Array,
    bias: Tensor | Array | None = None,
    stride: Pair = (1, 1),
    padding: Padding = (0, 0, 0, 0),
    groups: int = 1,
    dilation: Pair = (1, 1),
) -> Tensor:
    """Images (N, C, H, W), weight (O, C / groups, h, w), bias (O,) → (N, O, H', W'). Raises `ShapeMismatch`."""
    shapes = f"conv2d of images {x.shape} with weight {weight.shape}" + (
        f", bias {bias.shape}" if bias is not None else ""
    )
    if len(x.shape) != 4 or len(weight.shape) != 4:
        raise ShapeMismatch(shapes, "images (N, C, H, W) and weight (O, C / groups, h, w)")
    out, channels = weight.shape[0], x.shape[1]
    if (
        groups < 1
        or channels != groups * weight.shape[1]
        or out % groups
        or (bias is not None and bias.shape != (out,))
    ):
        raise ShapeMismatch(
            f"{shapes} in {groups} groups", "weight (O, C / groups, h, w), O a multiple of groups, bias (O,)"
        )
    window = window_over("conv2d", x.shape, (weight.shape[2], weight.shape[3]), stride, padding, dilation)
    if groups == channels == out:
        return apply(Depthwise, x, weight, bias, window=window, padding=padding)
    return apply(Conv2d, x, weight, bias, window=window, padding=padding, groups=groups)


class Conv2d(Function):
    """z = weight · columns + bias. Columns are made again on the way back: cheaper than the memory to keep them.

    All three products run on (groups, channels, places) arrays, places being H'·W'·N of the output.
    """

    @staticmethod
    def forward(
        x: Array, weight: Array, bias: Array | None, window: Window, padding: Padding, groups: int
    ) -> tuple[Any, Any]:
        rows = weight.reshape(groups, len(weight) // groups, weight[0].size)
        z = np.empty((groups, rows.shape[1], window.sides[0] * window.sides[1] * len(x)), x.dtype)
        for span, cut in columns(planes_of(x, padding), window):
            np.matmul(rows, cut.reshape(groups, rows.shape[2], -1), out=z[..., span])
        if bias is not None:
            z += bias.reshape(groups, -1, 1)
        planes = z.reshape(len(weight), *window.sides, len(x))
        return image_of(planes), (x, weight, bias is not None, window, padding, groups)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, has_bias, window, padding, groups = cache
        rows = weight.reshape(groups, len(weight) // groups, weight[0].size)
        slope = planes_of(dz, NO_PADDING).reshape(groups, rows.shape[1], dz[:, 0].size)

        def dx() -> Array:
            planes = no_planes(x, padding)
            if window.is_pointwise:
                np.matmul(rows.transpose(0, 2, 1), slope, out=planes.reshape(groups, rows.shape[2], slope.shape[2]))
                return image_of(planes, padding)
            cuts = blocks(planes, window)
            buffer = room(cuts, planes)
            for block in cuts:
                cut = buffer[: prod(block.shape)].reshape(groups, rows.shape[2], -1)
                scatter(np.matmul(rows.transpose(0, 2, 1), slope[..., block.span], out=cut), planes, window, block)
            return image_of(planes, padding)

        def dweight() -> Array:
            total = np.zeros_like(rows)
            for span, cut in columns(planes_of(x, padding), window):
                total += slope[..., span] @ cut.reshape(groups, rows.shape[2], -1).transpose(0, 2, 1)
            return np.asarray(total.reshape(weight.shape))

        return dx, dweight, (lambda: slope.sum(axis=2).reshape(-1)) if has_bias else None
