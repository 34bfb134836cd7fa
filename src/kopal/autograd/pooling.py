"""Pooling: the largest value or the mean of each window, by one strided slice per window position."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from kopal.autograd.columns import NO_PADDING, Padding, Pair, Window, cropped, padded, window_over
from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply


def max_pool2d(
    x: Tensor | Array, kernel: Pair, stride: Pair | None = None, padding: Padding = NO_PADDING, ceil: bool = False
) -> Tensor:
    """Images (N, C, H, W) → the largest of each window; `ceil` keeps a last window that hangs over the edge."""
    window = window_over("max_pool2d", x.shape, kernel, stride or kernel, padding, ceil=ceil)
    if any(2 * side > kernel[axis % 2] for axis, side in enumerate(padding)):
        raise ShapeMismatch(
            f"max_pool2d with kernel {kernel} and padding {padding}", "padding of at most half the kernel"
        )
    return apply(MaxPool, x, window=window, padding=_with_overhang(x.shape, window, padding))


def avg_pool2d(
    x: Tensor | Array,
    kernel: Pair,
    stride: Pair | None = None,
    padding: Padding = NO_PADDING,
    count_include_pad: bool = True,
) -> Tensor:
    """Images (N, C, H, W) → the mean of each window; padding counts as zeros, or not at all."""
    window = window_over("avg_pool2d", x.shape, kernel, stride or kernel, padding)
    if any(2 * side > kernel[axis % 2] for axis, side in enumerate(padding)):
        raise ShapeMismatch(
            f"avg_pool2d with kernel {kernel} and padding {padding}", "padding of at most half the kernel"
        )
    return apply(AvgPool, x, window=window, padding=padding, count_include_pad=count_include_pad)


def global_avg_pool(x: Tensor) -> Tensor:
    """Images (N, C, H, W) → (N, C, 1, 1), the mean of each channel."""
    if len(x.shape) != 4:
        raise ShapeMismatch(f"global_avg_pool of an array of shape {x.shape}", "images (N, C, H, W)")
    return x.mean(axis=(2, 3), keepdims=True)


class MaxPool(Function):
    """The largest of each window. Among equals the first, row by row, gets the gradient."""

    @staticmethod
    def forward(x: Array, window: Window, padding: Padding) -> tuple[Any, Any]:
        whole = padded(x, padding, -np.inf)
        first, *others = [whole[(..., *window.slices(i, j))] for i, j in window.positions()]
        z = first.copy(order="K")
        for other in others:
            np.maximum(z, other, out=z)
        return z, (x, z, window, padding)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, z, window, padding = cache
        whole = padded(x, padding, -np.inf)
        dx = np.zeros_like(whole)
        waiting = np.ones_like(z, np.bool_)
        for i, j in window.positions():
            place = (..., *window.slices(i, j))
            chosen = whole[place] == z
            chosen &= waiting
            waiting ^= chosen
            if window.overlaps:
                dx[place] += dz * chosen
            else:
                np.multiply(dz, chosen, out=dx[place])
        return cropped(dx, padding)


class AvgPool(Function):
    """The mean of each window."""

    @staticmethod
    def forward(x: Array, window: Window, padding: Padding, count_include_pad: bool) -> tuple[Any, Any]:
        share = _shares(x, window, padding, count_include_pad)
        whole = padded(x, padding)
        first, *others = [whole[(..., *window.slices(i, j))] for i, j in window.positions()]
        z = first.copy(order="K")
        for other in others:
            z += other
        z *= share
        return z, (x.shape, share, window, padding)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        (count, channels, height, width), share, window, padding = cache
        top, left, bottom, right = padding
        dx = np.zeros_like(dz, shape=(count, channels, top + height + bottom, left + width + right))
        part = dz * share
        for i, j in window.positions():
            dx[(..., *window.slices(i, j))] += part
        return cropped(dx, padding)


def _shares(x: Array, window: Window, padding: Padding, count_include_pad: bool) -> Array:
    """What one pixel weighs in each window's mean: 1 / area, or 1 / (pixels of the window that are not padding)."""
    if count_include_pad or not any(padding):
        return np.array(1 / window.area, x.dtype)
    ones = padded(np.ones((1, 1, *x.shape[2:]), x.dtype), padding)
    counts: Array = reduce(np.add, (ones[(..., *window.slices(i, j))] for i, j in window.positions()))
    return 1 / counts


def _with_overhang(image: tuple[int, ...], window: Window, padding: Padding) -> Padding:
    """The padding that lets the last window, which `ceil` may have hung over the edge, lie on something."""
    needed = [(window.sides[a] - 1) * window.stride[a] + window.kernel[a] - image[2 + a] - padding[a] for a in (0, 1)]
    return padding[0], padding[1], max(padding[2], needed[0]), max(padding[3], needed[1])
