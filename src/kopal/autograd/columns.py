"""Convolution as a matrix product: every window of the image becomes a column (im2col), and back (col2im).

Arrays here stand channels first, (C, N, H, W): the product weight (O, C·h·w) @ columns (C·h·w, N·H·W) then is the
output as it should lie in memory, with no transposition after it. Columns are made by copying one strided slice per
kernel position, for a few images or rows at a time: the buffer stays in the processor's cache and memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[int, int, int, int]
"""Rows and columns of zeros: (top, left, bottom, right)."""

# Bytes of columns at a time: about what a core's second-level cache holds.
BUFFER = 1 << 20


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

    def slices(self, i: int, j: int, rows: slice | None = None) -> tuple[slice, slice]:
        """Where kernel position (i, j) reads the padded image for all output rows or some."""
        first, last = (0, self.sides[0]) if rows is None else (rows.start, rows.stop)
        top, left = i * self.dilation[0], j * self.dilation[1]
        down, across = self.stride
        return (
            slice(top + first * down, top + (last - 1) * down + 1, down),
            slice(left, left + (self.sides[1] - 1) * across + 1, across),
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether the columns would be the planes themselves."""
        return self.area == 1 and self.stride == (1, 1)

    @property
    def overlaps(self) -> bool:
        """Whether a pixel may lie in several windows."""
        return any((k - 1) * d >= s for k, d, s in zip(self.kernel, self.dilation, self.stride, strict=True))

    def columns_shape(self, planes: Array, block: Block) -> tuple[int, ...]:
        """(C, h, w, images, rows, width) of a block's columns."""
        high = block.rows.stop - block.rows.start
        return (len(planes), *self.kernel, block.images.stop - block.images.start, high, self.sides[1])


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
    """(…, H, W) with rows and columns of `value` around it; x itself where there is no padding."""
    if not any(padding):
        return x
    top, left, bottom, right = padding
    height, width = x.shape[-2:]
    whole = np.full((*x.shape[:-2], height + top + bottom, width + left + right), value, x.dtype)
    whole[..., top : top + height, left : left + width] = x
    return whole


def cropped(x: Array, padding: Padding) -> Array:
    """The inverse of `padded`: a view of the middle."""
    top, left, bottom, right = padding
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@dataclass(frozen=True, slots=True)
class Block:
    """Some images, or some output rows of one image, and the `span` of the output's N·H·W places that they fill."""

    images: slice
    rows: slice
    span: slice

    @property
    def places(self) -> int:
        """How many columns the block has."""
        return int(self.span.stop - self.span.start)


def blocks(planes: Array, window: Window) -> list[Block]:
    """The output in pieces, each with columns of about `BUFFER` bytes."""
    images, (height, width) = planes.shape[1], window.sides
    row = planes.shape[0] * window.kernel[0] * window.kernel[1] * width * planes.itemsize
    at_once = max(1, BUFFER // max(1, row * height))
    high = height if at_once > 1 else min(height, max(1, BUFFER // max(1, row)))
    return [
        Block(
            slice(image, last := min(images, image + at_once)),
            slice(first, below := min(height, first + high)),
            slice((image * height + first) * width, ((last - 1) * height + below) * width),
        )
        for image in range(0, images, at_once)
        for first in range(0, height, high)
    ]


def columns(planes: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """Padded planes (C, N, H, W) → block by block: its span, and its columns (C, h · w, places).

    A window of one pixel that steps by one has nothing to copy: the planes themselves are the columns.
    """
    if window.is_pointwise:
        yield slice(None), planes.reshape(len(planes), 1, -1)
        return
    buffer = room(planes, window)
    for block in blocks(planes, window):
        part = planes[:, block.images]
        cut = buffer[: len(planes) * window.area * block.places].reshape(*window.columns_shape(planes, block))
        for i, j in window.positions():
            cut[:, i, j] = part[(..., *window.slices(i, j, block.rows))]
        yield block.span, cut.reshape(len(planes), window.area, -1)


def scatter(cut: Array, planes: Array, window: Window, block: Block) -> None:
    """The derivative of `columns`: a block's columns are added onto the pixels that they were copied from."""
    cut = cut.reshape(window.columns_shape(planes, block))
    part = planes[:, block.images]
    for i, j in window.positions():
        part[(..., *window.slices(i, j, block.rows))] += cut[:, i, j]


def room(planes: Array, window: Window) -> Array:
    """A buffer for the columns of the largest block."""
    most = max((block.places for block in blocks(planes, window)), default=0)
    return np.empty(len(planes) * window.area * most, planes.dtype)
