"""Operators that make a plane larger or smaller: each axis is a product with a matrix, which torch itself tells.

Rows and columns are resampled one after the other, so what an operator does to an axis is what it does to the columns
of the unit matrix. That spares ONNX's Resize, which makes large things of small and differs between its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kopal.backends.aten.page import Constant, Page, Value, Write
from kopal.backends.torch_module import require_torch

Tensor = Value | Constant


def _upsample(page: Page, x: Tensor, size: object, *rest: Any) -> str:
    *alignment, factors = rest
    operator = getattr(getattr(require_torch().ops.aten, page.operator.split(".")[1]), "vec")  # noqa: B009

    def resample(unit: Any, sides: Sequence[int], axis: int) -> Any:
        own = [float(factors[axis]) if number == axis else 1.0 for number in (0, 1)] if factors else None
        return operator(unit, None if own else sides, *alignment, own)

    return _by_matrices(page, x, resample)


def _adaptive_mean_pool(page: Page, x: Tensor, size: Sequence[int]) -> str:
    if page.output[-2:] == (1, 1):
        return page.node("GlobalAveragePool", x)
    (high, wide), (rows, columns) = _plane(page, x.shape), _plane(page, page.output)
    if high % rows == 0 and wide % columns == 0:
        step = high // rows, wide // columns
        return page.node("AveragePool", x, kernel_shape=step, strides=step)
    pool = require_torch().nn.functional.adaptive_avg_pool2d
    return _by_matrices(page, x, lambda unit, sides, axis: pool(unit, sides))


def _by_matrices(page: Page, x: Tensor, resample: Callable[[Any, Sequence[int], int], Any]) -> str:
    (high, wide), (rows, columns) = _plane(page, x.shape), _plane(page, page.output)
    eye = require_torch().eye
    above = resample(eye(high)[None, None], [rows, high], 0)[0, 0].numpy()
    beside = resample(eye(wide)[None, None], [wide, columns], 1)[0, 0].numpy()
    return page.node("MatMul", page.node("MatMul", page.constant(above), x), page.constant(beside))


def _plane(page: Page, shape: Sequence[int | None]) -> tuple[int, int]:
    height, width = shape[-2:]
    if height is None or width is None:
        raise page.unfit("sizes that depend on the number of images")
    return height, width


RESAMPLING: Mapping[str, Write] = {
    "aten.adaptive_avg_pool2d.default": _adaptive_mean_pool,
    "aten.upsample_nearest2d.vec": _upsample,
    "aten._upsample_nearest_exact2d.vec": _upsample,
    "aten.upsample_bilinear2d.vec": _upsample,
    "aten.upsample_bicubic2d.vec": _upsample,
}
