# ruff: noqa: D102  what forward and backward are is said once, in function.py
"""Convolution: one more node, combined freely with the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.columns import Padding, Pair, Window, blocks, columns, cropped, padded, room, scatter, window_over
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

    All three products run on (groups, channels, places) arrays, places being N·H'·W' of the output.
    """

    @staticmethod
    def forward(
        x: Array, weight: Array, bias: Array | None, window: Window, padding: Padding, groups: int
    ) -> tuple[Any, Any]:
        planes = padded(x.transpose(1, 0, 2, 3), padding)
        rows = weight.reshape(groups, len(weight) // groups, -1)
        z = np.empty((groups, rows.shape[1], len(x) * window.sides[0] * window.sides[1]), np.result_type(x, weight))
        for span, cut in columns(planes, window):
            np.matmul(rows, cut.reshape(groups, rows.shape[2], -1), out=z[..., span])
        whole = z.reshape(len(weight), len(x), *window.sides)
        if bias is not None:
            whole += bias[:, None, None, None]
        return whole.transpose(1, 0, 2, 3), (x, weight, bias is not None, window, padding)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, has_bias, window, padding = cache
        groups = x.shape[1] // weight.shape[1]
        slope = dz.transpose(1, 0, 2, 3).reshape(groups, len(weight) // groups, -1)

        def dx() -> Array:
            rows = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
            count, channels, height, width = x.shape
            if window.is_pointwise and not any(padding):
                flat: Array = np.matmul(rows, slope)
                return flat.reshape(channels, count, height, width).transpose(1, 0, 2, 3)
            top, left, bottom, right = padding
            planes = np.zeros((channels, count, top + height + bottom, left + width + right), slope.dtype)
            buffer = room(planes, window)
            for block in blocks(planes, window):
                cut = buffer[: channels * window.area * block.places].reshape(groups, -1, block.places)
                scatter(np.matmul(rows, slope[..., block.span], out=cut), planes, window, block)
            return cropped(planes, padding).transpose(1, 0, 2, 3)

        def dweight() -> Array:
            total = np.zeros((groups, len(weight) // groups, weight[0].size), slope.dtype)
            for span, cut in columns(padded(x.transpose(1, 0, 2, 3), padding), window):
                total += slope[..., span] @ cut.reshape(groups, weight[0].size, -1).transpose(0, 2, 1)
            return np.asarray(total.reshape(weight.shape))

        return dx, dweight, (lambda: slope.sum(axis=2).reshape(-1)) if has_bias else None
