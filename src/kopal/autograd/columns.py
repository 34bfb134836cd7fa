"""Convolution as a matrix product: every window of the image becomes a column (im2col), and back (col2im).

Arrays here are planes: channels first and samples last, (C, H, W, N). The product weight (O, C·h·w) @ columns
(C·h·w, H'·W'·N) then is the output as it should lie in memory, with no transposition after it; a shift by a pixel moves
whole runs of numbers; and everything element by element that follows keeps the order. Outside, shapes stay
(N, C, H, W): only the strides differ. Columns are made by copying one slice per kernel position, for a few rows of the
output at a time, so that the buffer stays in the processor's cache and memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[int, int, int, int]
"""Rows and columns of zeros: (top, left, bottom, right)."""

NO_PADDING: Padding = (0, 0, 0, 0)
ALL = slice(None)
# Bytes of columns at a time: they should stay in the last-level cache; below some MB NumPy's cost per call shows.
BUFFER = 8 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel of a certain size that steps over an image; `sides` are the output's height and width."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    sides: Pair

    def positions(self) -> Iterator[tuple[int, int]]:
        """Every place (row, column) within the kernel."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))

    @property
    def area(self) -> int:
        """How many positions there are."""
        return self.kernel[0] * self.kernel[1]

    def slices(self, i: int, j: int, rows: slice = ALL, width: slice = ALL) -> tuple[slice, slice]:
        """Where kernel position (i, j) reads the padded image for the whole output, or some rows and some width."""
        (down, across), (height, wide) = self.stride, self.sides
        top, left = i * self.dilation[0], j * self.dilation[1]
        first, last = rows.start or 0, height if rows.stop is None else rows.stop
        begin, end = width.start or 0, wide if width.stop is None else width.stop
        return (
            slice(top + first * down, top + (last - 1) * down + 1, down),
            slice(left + begin * across, left + (end - 1) * across + 1, across),
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether the columns would be the planes themselves."""
        return self.area == 1 and self.stride == (1, 1)

    @property
    def overlaps(self) -> bool:
        """Whether a pixel may lie in several windows."""
        return any((k - 1) * d >= s for k, d, s in zip(self.kernel, self.dilation, self.stride, strict=True))


def window_over(
    name: str,
    image: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> Window:
    """The window that an operation slides over an image of shape (N, C, H, W). Raises `ShapeMismatch`."""
    if len(image) != 4:
        raise ShapeMismatch(f"{name} of an array of shape {image}", "images (N, C, H, W)")
    if min(*kernel, *stride, *dilation) < 1 or min(padding) < 0:
        raise ShapeMismatch(
            f"{name} with kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}",
            "kernel, stride and dilation of at least 1, padding of at least 0",
        )
    sides = []
    for axis in (0, 1):
        covered = dilation[axis] * (kernel[axis] - 1) + 1
        free = image[2 + axis] + padding[axis] + padding[axis + 2] - covered
        if free < 0:
            raise ShapeMismatch(
                f"{name}: a window of {covered} over {image[2 + axis]} pixels, images {image}, kernel {kernel}",
                "a window that fits into the padded image",
            )
        steps = -(-free // stride[axis]) if ceil else free // stride[axis]
        # A hanging window must still start inside the image, as in PyTorch and ONNX.
        if ceil and steps * stride[axis] >= image[2 + axis] + padding[axis]:
            steps -= 1
        sides.append(steps + 1)
    return Window(kernel, stride, dilation, (sides[0], sides[1]))


def padded(x: Array, padding: Padding, value: float = 0) -> Array:
    """(N, C, H, W) with rows and columns of `value` around it; x itself where there is no padding."""
    if not any(padding):
        return x
    top, left, bottom, right = padding
    count, channels, height, width = x.shape
    # empty_like keeps the order in memory.
    whole = np.empty_like(x, shape=(count, channels, top + height + bottom, left + width + right))
    whole[:, :, :top] = whole[:, :, top + height :] = value
    whole[:, :, :, :left] = whole[:, :, :, left + width :] = value
    cropped(whole, padding)[...] = x
    return whole


def cropped(x: Array, padding: Padding) -> Array:
    """The inverse of `padded`: a view of the middle."""
    top, left, bottom, right = padding
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def planes_of(x: Array, padding: Padding) -> Array:
    """(N, C, H, W) → padded planes (C, H, W, N), copied only where they do not lie so already."""
    return np.ascontiguousarray(padded(x, padding).transpose(1, 2, 3, 0))


def no_planes(x: Array, padding: Padding) -> Array:
    """Zeros in the shape of `planes_of`, to add gradients to."""
    count, channels, height, width = x.shape
    top, left, bottom, right = padding
    return np.zeros((channels, top + height + bottom, left + width + right, count), x.dtype)


def image_of(planes: Array, padding: Padding = NO_PADDING) -> Array:
    """Planes (C, H, W, N), perhaps padded → a view (N, C, H, W) without the padding."""
    return cropped(planes.transpose(3, 0, 1, 2), padding)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of the output, or some width of one row; `span` is where they lie in its H'·W'·N places."""

    rows: slice
    width: slice
    span: slice
    shape: tuple[int, ...]


def blocks(planes: Array, window: Window) -> list[Block]:
    """The output in pieces, each with columns (C, h, w, rows, width, N) of about `BUFFER` bytes."""
    (height, width), count = window.sides, planes.shape[3]
    pixel = max(1, len(planes) * window.area * count * planes.itemsize)
    wide = min(width, max(1, BUFFER // pixel))
    high = min(height, max(1, BUFFER // (pixel * width)))
    return [
        Block(
            slice(top, bottom := min(height, top + high)),
            slice(left, right := min(width, left + wide)),
            slice((top * width + left) * count, ((bottom - 1) * width + right) * count),
            (len(planes), *window.kernel, bottom - top, right - left, count),
        )
        for top in range(0, height, high)
        for left in range(0, width, wide)
    ]


def columns(planes: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """Padded planes → block by block: its span, and its columns (C, h · w, places).

    A window of one pixel that steps by one has nothing to copy: the planes themselves are the columns.
    """
    if window.is_pointwise:
        yield slice(None), planes.reshape(len(planes), 1, -1)
        return
    cuts = blocks(planes, window)
    buffer = room(cuts, planes)
    for block in cuts:
        cut = buffer[: prod(block.shape)].reshape(block.shape)
        for i, j in window.positions():
            cut[:, i, j] = planes[(slice(None), *window.slices(i, j, block.rows, block.width))]
        yield block.span, cut.reshape(len(planes), window.area, -1)


def scatter(cut: Array, planes: Array, window: Window, block: Block) -> None:
    """The derivative of `columns`: a block's columns are added onto the pixels that they were copied from."""
    cut = cut.reshape(block.shape)
    for i, j in window.positions():
        planes[(slice(None), *window.slices(i, j, block.rows, block.width))] += cut[:, i, j]


def room(cuts: list[Block], planes: Array) -> Array:
    """A buffer for the columns of the largest block."""
    return np.empty(max(prod(block.shape) for block in cuts), planes.dtype)
