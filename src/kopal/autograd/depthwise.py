# ruff: noqa: D102  what forward and backward are is said once, in function.py
"""Convolution where every channel has a kernel of its own: a matrix product has nothing to share there.

The kernel positions are gone through one by one instead, each adding a shifted image times its number, for as many
channels at a time as the processor's cache holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kopal.autograd.columns import BUFFER, Padding, Window, cropped, padded
from kopal.autograd.function import Array, Function


class Depthwise(Function):
    """z[c] = Σ weight[c, i, j] · x[c] shifted by (i, j), + bias[c]."""

    @staticmethod
    def forward(x: Array, weight: Array, bias: Array | None, window: Window, padding: Padding) -> tuple[Any, Any]:
        planes = padded(x.transpose(1, 0, 2, 3), padding)
        z = np.empty((*planes.shape[:2], *window.sides), np.result_type(x, weight))
        for some in _channels(z):
            part, total = planes[some], z[some]
            shifted = np.empty_like(total)
            total[...] = 0 if bias is None else bias[some, None, None, None]
            for i, j in window.positions():
                np.multiply(part[(..., *window.slices(i, j))], weight[some, 0, i, j, None, None, None], out=shifted)
                total += shifted
        return z.transpose(1, 0, 2, 3), (x, weight, bias is not None, window, padding)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, has_bias, window, padding = cache
        slope = dz.transpose(1, 0, 2, 3)

        def dx() -> Array:
            top, left, bottom, right = padding
            count, channels, height, width = x.shape
            planes = np.zeros((channels, count, top + height + bottom, left + width + right), slope.dtype)
            for some in _channels(slope):
                part = slope[some]
                shifted = np.empty(part.shape, part.dtype)
                for i, j in window.positions():
                    np.multiply(part, weight[some, 0, i, j, None, None, None], out=shifted)
                    planes[(some, slice(None), *window.slices(i, j))] += shifted
            return cropped(planes, padding).transpose(1, 0, 2, 3)

        def dweight() -> Array:
            planes = padded(x.transpose(1, 0, 2, 3), padding)
            total = np.empty(weight.shape, slope.dtype)
            for some in _channels(slope):
                for i, j in window.positions():
                    shifted = planes[(some, slice(None), *window.slices(i, j))]
                    total[some, 0, i, j] = np.einsum("cnhw,cnhw->c", shifted, slope[some])
            return total

        return dx, dweight, (lambda: slope.sum(axis=(1, 2, 3))) if has_bias else None


def _channels(planes: Array) -> Iterator[slice]:
    each = max(1, planes[:1].nbytes)
    at_once = max(1, BUFFER // (4 * each))
    return (slice(first, first + at_once) for first in range(0, len(planes), at_once))
