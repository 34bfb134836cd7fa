"""Softmax and cross-entropy: scores to probabilities to one number that falls as the net learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from kopal.autograd.errors import AutogradError, ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.tensor import Tensor, apply


def softmax(x: Tensor | Array, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along an axis, for scores of any size."""
    return apply(Softmax, x, axis=axis)


def log_softmax(x: Tensor | Array, axis: int = -1) -> Tensor:
    """The logarithm of softmax, without ever taking the log of a rounded zero."""
    return apply(LogSoftmax, x, axis=axis)


def cross_entropy(scores: Tensor | Array, target: Array) -> Tensor:
    """The mean over N of -Σ p log softmax(scores): scores (N, K); p as labels (N,) or as distributions (N, K)."""
    shapes = f"cross_entropy of scores {scores.shape} with a target of shape {target.shape}"
    if len(scores.shape) != 2 or 0 in scores.shape:
        raise ShapeMismatch(shapes, "scores (N, K) of at least one sample and one class")
    if target.dtype.kind in "iu":
        if target.shape != scores.shape[:1]:
            raise ShapeMismatch(shapes, "one label per row of scores")
        if target.min() < 0 or target.max() >= scores.shape[1]:
            raise AutogradError(
                f"labels run from {target.min()} to {target.max()}",
                f"0 to {scores.shape[1] - 1}, as many as there are scores",
            )
        target = np.asarray(target[:, None] == np.arange(scores.shape[1]))
    elif target.shape != scores.shape:
        raise ShapeMismatch(shapes, "labels as integers (N,), or distributions as floats (N, K)")
    return apply(CrossEntropy, scores, target.astype(scores.dtype))


class Softmax(Function):
    """p = exp(x) / Σ exp(x)."""

    @staticmethod
    def forward(x: Array, axis: int) -> tuple[Any, Any]:
        p = np.exp(log_softmax_of(x, axis))
        return p, (p, axis)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        p, axis = cache
        return p * (dz - (dz * p).sum(axis=axis, keepdims=True))


class LogSoftmax(Function):
    """log p = x - log Σ exp(x)."""

    @staticmethod
    def forward(x: Array, axis: int) -> tuple[Any, Any]:
        z = log_softmax_of(x, axis)
        return z, (z, axis)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        z, axis = cache
        return dz - np.exp(z) * dz.sum(axis=axis, keepdims=True)


class CrossEntropy(Function):
    """Softmax and cross-entropy in one: together their derivative is just p̂ - p."""

    @staticmethod
    def forward(scores: Array, target: Array) -> tuple[Any, Any]:
        log_p = log_softmax_of(scores, axis=1)
        # A zero of the target silences its class, also where log p̂ is -inf.
        loss = -np.multiply(log_p, target, where=target > 0, out=np.zeros_like(log_p)).sum() / len(scores)
        return loss.astype(scores.dtype), (log_p, target)

    @staticmethod
    def backward(dz: Array, cache: Any) -> Any:
        log_p, target = cache
        return (np.exp(log_p) * target.sum(axis=1, keepdims=True) - target) * (dz / len(target)).astype(
            log_p.dtype
        ), None


def log_softmax_of(x: Array, axis: int) -> Array:
    """The largest score is subtracted first, which cancels: the plain formula overflows at 89 in float32."""
    if x.ndim == 0 or x.shape[axis] == 0:
        raise ShapeMismatch(f"softmax of no scores: shape {x.shape}, axis {axis}", "at least one score")
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))
