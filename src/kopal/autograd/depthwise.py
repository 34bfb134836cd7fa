"""Convolution where every channel has a kernel of its own: a matrix product has nothing to share there.

The kernel positions are gone through one by one instead, each adding a shifted image times its number, for as many
channels at a time as the processor's cache holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kopal.autograd.columns import ALL, NO_PADDING, Padding, Window, image_of, no_planes, planes_of
from kopal.autograd.function import Array, Function

# Bytes of one array at a time: a quarter of a core's second-level cache.
CACHE = 1 << 18


class Depthwise(Function):
    """z[c] = Σ weight[c, i, j] · x[c] shifted by (i, j), + bias[c]."""

    @staticmethod
    def forward(x: Array, weight: Array, bias: Array | None, window: Window, padding: Padding) -> tuple[Any, Any]:
        planes = planes_of(x, padding)
        z = np.empty((len(planes), *window.sides, len(x)), x.dtype)
        for some in _channels(z):
            part, total = planes[some], z[some]
            shifted = np.empty_like(total)
            total[...] = 0 if bias is None else bias[some, None, None, None]
            for i, j in window.positions():
                np.multiply(part[(ALL, *window.slices(i, j))], weight[some, :, i, j, None, None], out=shifted)
                total += shifted
        return image_of(z), (x, weight, bias is not None, window, padding)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, has_bias, window, padding = cache
        slope = planes_of(dz, NO_PADDING)

        def dx() -> Array:
            planes = no_planes(x, padding)
            for some in _channels(slope):
                part, total = slope[some], planes[some]
                shifted = np.empty_like(part)
                for i, j in window.positions():
                    np.multiply(part, weight[some, :, i, j, None, None], out=shifted)
                    total[(ALL, *window.slices(i, j))] += shifted
            return image_of(planes, padding)

        def dweight() -> Array:
            planes = planes_of(x, padding)
            total = np.empty_like(weight)
            for some in _channels(slope):
                for i, j in window.positions():
                    shifted = planes[some][(ALL, *window.slices(i, j))]
                    total[some, 0, i, j] = np.einsum("chwn,chwn->c", shifted, slope[some])
            return np.asarray(total)

        return dx, dweight, (lambda: slope.sum(axis=(1, 2, 3))) if has_bias else None


def _channels(planes: Array) -> Iterator[slice]:
    # Three arrays take part at a time, and each is gone through nine times or more.
    at_once = max(1, CACHE // max(1, planes[:1].nbytes))
    return (slice(first, first + at_once) for first in range(0, len(planes), at_once))
