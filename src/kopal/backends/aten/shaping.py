"""Operators that move numbers and compute none: shapes, axes, parts, neighbours side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kopal.backends.aten.page import Constant, Page, Value, Write, axis_of

Tensor = Value | Constant

_TO_THE_END = 2**62
"""ATen writes x[a:] as x[a : 2⁶³ - 1]."""


def _reshape(page: Page, x: Tensor, *rest: object) -> str:
    return page.reshape(x, page.output)


def _permute(page: Page, x: Tensor, axes: Sequence[int]) -> str:
    return page.node("Transpose", x, perm=[axis_of(x, axis) for axis in axes])


def _transpose(page: Page, x: Tensor, first: int = 0, second: int = 1) -> str:
    axes = list(range(len(x.shape)))
    first, second = axis_of(x, first), axis_of(x, second)
    axes[first], axes[second] = second, first
    return page.node("Transpose", x, perm=axes)


def _matrix_transpose(page: Page, x: Tensor) -> str:
    return _transpose(page, x) if len(x.shape) == 2 else page.operand(x)


def _copy(page: Page, x: Tensor, source: Tensor, *rest: object) -> str:
    return _expand(page, source)


def _expand(page: Page, x: Tensor, *rest: object) -> str:
    if x.shape == page.output:
        return page.operand(x)
    sides = (1,) * (len(page.output) - len(x.shape)) + x.shape
    repeated = [now if was != now else 1 for was, now in zip(sides, page.output, strict=True)]
    if any(side is None for side in repeated):
        raise page.unfit("a tensor is repeated as often as there are images")
    # x + 0, where the zeros are broadcast against x: no operator that makes large things of small.
    return page.node("Add", x, page.constant(np.zeros(repeated)))


def _cat(page: Page, tensors: Sequence[Tensor], axis: int = 0) -> str:
    axis %= len(page.output)
    if page.output[axis] is None:
        raise page.unfit("images are joined along the batch")
    return page.node("Concat", *tensors, axis=axis)


def _stack(page: Page, tensors: Sequence[Tensor], axis: int = 0) -> str:
    axis %= len(page.output)
    one = tuple(1 if number == axis else side for number, side in enumerate(page.output))
    return page.node("Concat", *(page.reshape(tensor, one) for tensor in tensors), axis=axis)


def _split(page: Page, x: Tensor, sizes: object, axis: int = 0) -> list[str]:
    axis = axis_of(x, axis)
    return page.split(x, axis, [_known(page, shape[axis]) for shape in page.outputs])


def _unbind(page: Page, x: Tensor, axis: int = 0) -> list[str]:
    pieces = page.split(x, axis_of(x, axis), [1] * len(page.outputs))
    return [page.reshape(piece, shape) for piece, shape in zip(pieces, page.outputs, strict=True)]


def _select(page: Page, x: Tensor, axis: int, index: int) -> str:
    axis = axis_of(x, axis)
    index %= _known(page, x.shape[axis])
    return page.reshape(page.slice(x, axis, index, index + 1), page.output)


def _slice(page: Page, x: Tensor, axis: int, start: int | None, end: int | None, step: int) -> str:
    axis = axis_of(x, axis)
    if not start and (end is None or end >= _TO_THE_END) and step == 1:
        return page.operand(x)
    first, last, _ = slice(start, end, step).indices(_known(page, x.shape[axis]))
    return page.slice(x, axis, first, last, step)


def _replaced(page: Page, x: Tensor, part: Tensor, axis: int, start: int | None, end: int | None, step: int) -> str:
    """The tensor x with x[start:end] replaced by `part`."""
    axis = axis_of(x, axis)
    if not start and (end is None or end >= _TO_THE_END) and step == 1:
        return page.operand(part)
    size = _known(page, x.shape[axis])
    first, last, _ = slice(start, end).indices(size)
    if step != 1:
        raise page.unfit("with gaps")
    before = [page.slice(x, axis, 0, first)] if first else []
    after = [page.slice(x, axis, last, size)] if last < size else []
    return page.node("Concat", *before, part, *after, axis=axis)


def _roll(page: Page, x: Tensor, shifts: Sequence[int], axes: Sequence[int]) -> str:
    if not axes:
        raise page.unfit("without axes")
    rolled = page.operand(x)
    for shift, axis in zip(shifts, axes, strict=True):
        axis = axis_of(x, axis)
        size = _known(page, x.shape[axis])
        cut = -shift % size
        if cut:
            parts = (page.slice(rolled, axis, cut, size), page.slice(rolled, axis, 0, cut))
            rolled = page.node("Concat", *parts, axis=axis)
    return rolled


def _pad(page: Page, x: Tensor, sizes: Sequence[int], mode: str, value: float | None) -> str:
    """ATen counts from the last axis, before and after each; ONNX has all befores, then all afters."""
    missing = len(x.shape) - len(sizes) // 2
    before = [*[0] * missing, *reversed(sizes[0::2])]
    after = [*[0] * missing, *reversed(sizes[1::2])]
    if any(side is None and zeros for side, *zeros in zip(x.shape, before, after, strict=True) if any(zeros)):
        raise page.unfit("images are added to the batch")
    kinds = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode not in kinds:
        raise page.unfit(f"mode {mode}")
    fill = [page.operand(float(value or 0))] if mode == "constant" else []
    return page.node("Pad", x, page.integers(*before, *after), *fill, mode=kinds[mode])


def _known(page: Page, side: int | None) -> int:
    if side is None:
        raise page.unfit("images are taken out of the batch")
    return side


SHAPING: Mapping[str, Write] = {
    **{f"aten.{name}.default": _reshape for name in ("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze")},
    "aten.squeeze.dim": _reshape,
    "aten.squeeze.dims": _reshape,
    "aten.flatten.using_ints": _reshape,
    "aten.unflatten.int": _reshape,
    "aten.permute.default": _permute,
    "aten.transpose.int": _transpose,
    "aten.t.default": _matrix_transpose,
    "aten.expand.default": _expand,
    "aten.expand_as.default": _expand,
    "aten.copy.default": _copy,
    "aten.cat.default": _cat,
    "aten.stack.default": _stack,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.chunk.default": _split,
    "aten.unbind.int": _unbind,
    "aten.select.int": _select,
    "aten.slice.Tensor": _slice,
    "aten.slice_scatter.default": _replaced,
    "aten.roll.default": _roll,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": lambda page, x, sizes, value: _pad(page, x, sizes, "constant", value),
}

BY_SHAPE = frozenset({_reshape, _expand})
"""Those that look at the shape they have to give, not at the sizes among their arguments."""
