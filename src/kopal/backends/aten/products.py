"""Operators that weigh and sum: convolutions, products of matrices, attention, reductions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from kopal.backends.aten.page import Constant, Page, Value, Write, axis_of

Tensor = Value | Constant


def _convolution(
    page: Page,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> str:
    kernel = weight.shape[2:]
    stride, dilation = (_each(numbers, len(kernel)) for numbers in (stride, dilation))
    if isinstance(padding, str):
        widths = [step * ((side or 1) - 1) for side, step in zip(kernel, dilation, strict=True)]
        around = widths if padding == "same" else [0] * len(widths)
        pads = [*(zeros // 2 for zeros in around), *(zeros - zeros // 2 for zeros in around)]
    else:
        pads = _each(padding, len(kernel)) * 2
    parameters = [weight] if bias is None else [weight, bias]
    return page.node(
        "Conv", x, *parameters, kernel_shape=kernel, strides=stride, pads=pads, dilations=dilation, group=groups
    )


def _linear(page: Page, x: Tensor, weight: Tensor, bias: Tensor | None) -> str:
    if len(x.shape) == 2:
        return page.node("Gemm", x, weight, *([] if bias is None else [bias]), transB=1)
    if not isinstance(weight, Constant):
        raise page.unfit("the weights depend on the images")
    product = page.node("MatMul", x, page.constant(weight.array.T))
    return product if bias is None else page.node("Add", product, bias)


def _product(page: Page, x: Tensor, y: Tensor) -> str:
    if x.shape[-1] is None:
        raise page.unfit("it sums over the images of a batch")
    return page.node("MatMul", x, y)


def _sum_and_product(page: Page, z: Tensor, x: Tensor, y: Tensor, beta: float, alpha: float) -> str:
    return page.node("Gemm", x, y, z, alpha=float(alpha), beta=float(beta))


def _attention(
    page: Page,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> str:
    """softmax(q kᵀ / √d + mask) v, arXiv:1706.03762."""
    depth, rows, columns = query.shape[-1], query.shape[-2], key.shape[-2]
    if dropout or grouped or depth is None or rows is None or columns is None:
        raise page.unfit("dropout, grouped heads, or attention between images")
    axes = [*range(len(key.shape) - 2), len(key.shape) - 1, len(key.shape) - 2]
    # Each factor gets the root of the scale, as in PyTorch: the products stay smaller.
    root = sqrt(scale if scale is not None else 1 / sqrt(depth))
    turned = page.node("Transpose", key, perm=axes)
    affinity = page.node("MatMul", page.node("Mul", query, root), page.node("Mul", turned, root))
    if causal:
        affinity = page.node("Add", affinity, page.constant(np.triu(np.full((rows, columns), -np.inf), 1)))
    if isinstance(mask, Constant) and str(mask.tensor.dtype) == "torch.bool":
        affinity = page.node("Add", affinity, page.constant(np.where(mask.tensor.numpy(), 0, -np.inf)))
    elif mask is not None:
        affinity = page.node("Add", affinity, mask)
    return page.node("MatMul", page.node("Softmax", affinity, axis=-1), value)


def _softmax(page: Page, x: Tensor, axis: int, dtype: object = None) -> str:
    return page.node("Softmax", x, axis=_within(page, x, [axis])[0])


def _log_softmax(page: Page, x: Tensor, axis: int, dtype: object = None) -> str:
    axis = _within(page, x, [axis])[0]
    largest = page.node("ReduceMax", x, axes=[axis], keepdims=1)
    centred = page.node("Sub", x, largest)
    total = page.node("ReduceSum", page.node("Exp", centred), page.integers(axis), keepdims=1)
    return page.node("Sub", centred, page.node("Log", total))


def _mean(page: Page, x: Tensor, axes: Sequence[int] | None, keep: bool, dtype: object = None) -> str:
    return page.node("ReduceMean", x, axes=_within(page, x, axes), keepdims=int(keep))


def _sum(page: Page, x: Tensor, axes: Sequence[int] | None, keep: bool, dtype: object = None) -> str:
    return page.node("ReduceSum", x, page.integers(*_within(page, x, axes)), keepdims=int(keep))


def _largest(page: Page, x: Tensor, axes: Sequence[int], keep: bool) -> str:
    return page.node("ReduceMax", x, axes=_within(page, x, axes), keepdims=int(keep))


def _length(page: Page, x: Tensor, order: float, axes: Sequence[int] | None, keep: bool, dtype: object = None) -> str:
    if order != 2:
        raise page.unfit(f"order {order}")
    return page.node("ReduceL2", x, axes=_within(page, x, axes), keepdims=int(keep))


def _within(page: Page, x: Tensor, axes: Sequence[int] | None) -> list[int]:
    """The axes to reduce, none of which may be the batch's: an image's scores do not depend on its neighbours."""
    counted = [axis_of(x, axis) for axis in (axes or range(len(x.shape)))]
    if any(x.shape[axis] is None for axis in counted):
        raise page.unfit("it mixes the images of a batch")
    return counted


def _each(numbers: Sequence[int], count: int) -> list[int]:
    """One number for all axes, or one for each."""
    return list(numbers) * count if len(numbers) == 1 else list(numbers)


PRODUCTS: Mapping[str, Write] = {
    "aten.conv1d.default": _convolution,
    "aten.conv1d.padding": _convolution,
    "aten.conv2d.default": _convolution,
    "aten.conv2d.padding": _convolution,
    "aten.linear.default": _linear,
    "aten.matmul.default": _product,
    "aten.mm.default": _product,
    "aten.bmm.default": _product,
    "aten.addmm.default": _sum_and_product,
    "aten.scaled_dot_product_attention.default": _attention,
    "aten.softmax.int": _softmax,
    "aten._softmax.default": _softmax,
    "aten.log_softmax.int": _log_softmax,
    "aten.mean.dim": _mean,
    "aten.sum.dim_IntList": _sum,
    "aten.amax.default": _largest,
    "aten.linalg_vector_norm.default": _length,
}
