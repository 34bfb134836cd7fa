"""Layers that bring values to a common scale: batch norm and local response norm."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply


def batch_norm(
    x: Tensor | Array,
    weight: Tensor | Array,
    bias: Tensor | Array,
    running_mean: Array,
    running_var: Array,
    training: bool,
    epsilon: float = 1e-5,
    momentum: float = 0.1,
) -> Tensor:
    """(x - mean) / √(var + epsilon) · weight + bias per channel, x (N, C, …), the others (C,); arXiv:1502.03167.

    Training takes mean and variance from the batch and moves the running ones, in place, towards them by `momentum`;
    the running variance is the unbiased one, as in PyTorch. Otherwise the running ones serve and nothing changes.
    """
    channels = x.shape[1] if len(x.shape) > 1 else -1
    if {weight.shape, bias.shape, running_mean.shape, running_var.shape} != {(channels,)}:
        raise ShapeMismatch(
            f"batch_norm of shape {x.shape} with weight {weight.shape}, bias {bias.shape}, "
            f"running_mean {running_mean.shape}, running_var {running_var.shape}",
            "(N, C, …) and four arrays (C,)",
        )
    if not training:
        return apply(FixedNorm, x, weight, bias, mean=running_mean, var=running_var, epsilon=epsilon)
    each = prod(x.shape) // max(channels, 1)
    if each < 2:
        raise ShapeMismatch(
            f"batch_norm in training of shape {x.shape}: {each} value per channel",
            "at least two, to have a variance",
            "use larger batches; drop a last batch of one",
        )
    return apply(BatchNorm, x, weight, bias, running=(running_mean, running_var), epsilon=epsilon, momentum=momentum)


class BatchNorm(Function):
    """Batch norm in training: mean and variance are functions of x too, so the derivative goes through them."""

    @staticmethod
    def forward(
        x: Array, weight: Array, bias: Array, running: tuple[Array, Array], epsilon: float, momentum: float
    ) -> tuple[Any, Any]:
        rows = _rows(x)
        mean = rows.mean(axis=1, keepdims=True)
        centred = rows - mean
        var = _dots(centred, centred)[:, None] / rows.shape[1]
        running_mean, running_var = running
        running_mean += momentum * (mean[:, 0] - running_mean)
        running_var += momentum * (var[:, 0] * (rows.shape[1] / (rows.shape[1] - 1)) - running_var)
        scale = 1 / np.sqrt(var + var.dtype.type(epsilon))
        centred *= scale * weight[:, None]
        centred += bias[:, None]
        return _like(centred, x), (x, weight, mean, scale)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, weight, mean, scale = cache
        slope = _rows(dz)
        normal = (_rows(x) - mean) * scale
        dbias = slope.sum(axis=1)
        dweight = _dots(slope, normal)

        def dx() -> Array:
            # What the gradient has along (1, 1, …) and along x itself is lost in centring and scaling.
            count = normal.shape[1]
            total = np.multiply(normal, -dweight[:, None] / count, out=normal)
            total += slope
            total -= dbias[:, None] / count
            total *= scale * weight[:, None]
            return _like(total, x)

        return dx, dweight, dbias


class FixedNorm(Function):
    """Batch norm with given mean and variance: one multiplication and one addition per channel."""

    @staticmethod
    def forward(x: Array, weight: Array, bias: Array, mean: Array, var: Array, epsilon: float) -> tuple[Any, Any]:
        scale = 1 / np.sqrt(var + var.dtype.type(epsilon))
        factor, shift = weight * scale, bias - weight * scale * mean
        z = x * _per_channel(factor, x)
        z += _per_channel(shift, x)
        return z, (x, factor, scale, mean)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, factor, scale, mean = cache
        return (
            lambda: dz * _per_channel(factor, x),
            lambda: _dots(_rows(dz), (_rows(x) - mean[:, None]) * scale[:, None]),
            lambda: _rows(dz).sum(axis=1),
        )


def local_response_norm(
    x: Tensor | Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """The quotient x / (k + alpha / size · Σ x²)^beta, the sum over an odd number `size` of neighbouring channels."""
    if size < 1 or size % 2 == 0 or len(x.shape) < 3:
        raise ShapeMismatch(f"local_response_norm over {size} channels of shape {x.shape}", "odd size, (N, C, H, W)")
    return apply(LocalResponseNorm, x, size=size, alpha=alpha, beta=beta, k=k)


class LocalResponseNorm(Function):
    """Each channel is divided by how loud its neighbours are, as AlexNet has it."""

    @staticmethod
    def forward(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Any, Any]:
        base = _neighbours(x * x, size)
        base *= alpha / size
        base += k
        return x * base**-beta, (x, base, size, alpha, beta)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        x, base, size, alpha, beta = cache
        power = base**-beta
        # The window is symmetric, so a channel hears exactly those neighbours that hear it.
        return dz * power - (2 * alpha * beta / size) * x * _neighbours(dz * x * power / base, size)


def _neighbours(x: Array, size: int) -> Array:
    """The sum of each channel and the (size - 1) / 2 on either side of it."""
    total = x.copy(order="K")
    for distance in range(1, min(size // 2, x.shape[1] - 1) + 1):
        total[:, distance:] += x[:, :-distance]
        total[:, :-distance] += x[:, distance:]
    return total


def _rows(x: Array) -> Array:
    """(N, C, …) → (C, …·N): free of charge for what a convolution has just made."""
    return np.moveaxis(x, 0, -1).reshape(x.shape[1], -1)


def _dots(a: Array, b: Array) -> Array:
    # Σ a·b per row. BLAS adds up in several lanes: in float32 nearer to the truth than einsum, and as fast.
    return np.asarray(np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0])


def _like(rows: Array, x: Array) -> Array:
    """The inverse of `_rows`."""
    return np.moveaxis(rows.reshape(*x.shape[1:], len(x)), -1, 0)


def _per_channel(values: Array, x: Array) -> Array:
    return values.reshape(-1, *[1] * (x.ndim - 2))
