"""Batch norm after a convolution is a second affine map: fold it into the first, Net → Net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from kopal.nets.layers import BatchNorm, Chain, Concat, Conv, Layer, Residual, SqueezeExcite
from kopal.nets.net import Net
from kopal.nets.run import join

Weights = Mapping[str, NDArray[np.float32]]
A = TypeVar("A")
Affine: TypeAlias = Callable[[A, A | None, tuple[A, A, A, A], float], tuple[A, A]]
"""A kernel, its bias or None, a norm's weight, bias, mean and variance, its epsilon → one kernel and its bias."""


def fold_batch_norm(net: Net, weights: Weights) -> tuple[Net, dict[str, NDArray[np.float32]]]:
    """The same function without its batch norms: each Conv + BatchNorm pair becomes one Conv with a bias.

    A batch norm that follows anything else stays. Computed in float64, kept in float32.
    """
    body, folded = fold_norms(net.body, weights, _in_float64, lambda norm: True)
    return replace(net, body=body), folded


def fold_norms(
    body: Chain, weights: Mapping[str, A], affine: Affine[A], folds: Callable[[str], bool]
) -> tuple[Chain, dict[str, A]]:
    """`fold_batch_norm` for any kind of array, of the norms whose path `folds` says yes to."""
    folded = dict(weights)
    return _Folding(folded, affine, folds).chain(body, ""), folded


@dataclass(frozen=True)
class _Folding(Generic[A]):
    weights: dict[str, A]
    affine: Affine[A]
    folds: Callable[[str], bool]

    def layer(self, layer: Layer, path: str) -> Layer:
        match layer:
            case Chain():
                return self.chain(layer, path)
            case Residual(body, shortcut):
                return Residual(
                    self.chain(body, join(path, "body")), shortcut and self.chain(shortcut, join(path, "shortcut"))
                )
            case Concat(branches):
                return Concat(tuple((name, self.layer(child, join(path, name))) for name, child in branches))
            case SqueezeExcite(gate):
                return SqueezeExcite(self.chain(gate, join(path, "gate")))
            case _:
                return layer

    def chain(self, whole: Chain, path: str) -> Chain:
        kept: list[tuple[str, Layer]] = []
        for name, layer in whole.layers:
            before = kept[-1][1] if kept else None
            if isinstance(layer, BatchNorm) and isinstance(before, Conv) and self.folds(join(path, name)):
                conv = kept[-1][0]
                self.pair(join(path, conv), join(path, name), layer.epsilon)
                kept[-1] = conv, replace(before, bias=True)
            else:
                kept.append((name, self.layer(layer, join(path, name))))
        return Chain(tuple(kept))

    def pair(self, conv: str, norm: str, epsilon: float) -> None:
        weight, bias, mean, variance = (
            self.weights.pop(f"{norm}.{name}") for name in ("weight", "bias", "running_mean", "running_var")
        )
        kernel, own = self.weights[f"{conv}.weight"], self.weights.get(f"{conv}.bias")
        self.weights[f"{conv}.weight"], self.weights[f"{conv}.bias"] = self.affine(
            kernel, own, (weight, bias, mean, variance), epsilon
        )


def _in_float64(
    kernel: NDArray[np.float32],
    own: NDArray[np.float32] | None,
    norm: tuple[NDArray[np.float32], ...],
    epsilon: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    gamma, beta, mean, variance = (array.astype(np.float64) for array in norm)
    scale = gamma / np.sqrt(variance + epsilon)
    bias = beta + ((0 if own is None else own) - mean) * scale
    return (kernel * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)
