"""A support vector machine: a smooth border that keeps as far from the photos as it can, one class against the rest.

The kernel is Gaussian, exp(-gamma · ‖z - v‖²) of standardised features. Each class has a machine of its own, whose
decision values are the scores: those of pairs of classes would have to be counted as votes, and a vote jumps where a
score moves smoothly. scikit-learn's SVC finds them (`probability=False`: its own probabilities disagree with its own
labels), on a kernel matrix that all classes and penalties share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Floats, Labels, Scores
from kopal.fit.heads.head import Head, HeadKind, Option, two_columns
from kopal.fit.heads.standard import Standard, standard
from kopal.nets.fold import Weights
from kopal.nets.heads import KernelMachine
from kopal.nets.layers import Layer

BLOCK = 1024
MOST = 12_000
"""Photos above which the kernel matrix, in doubles, would pass a gigabyte."""


@dataclass(frozen=True)
class KernelHead:
    """Support vectors (V, D) of standardised features, coefficients (V, K), bias (K,), gamma of the kernel."""

    scaling: Standard
    vectors: Features
    coefficients: NDArray[np.float32]
    bias: NDArray[np.float32]
    gamma: float

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        z = self.scaling.apply(features)
        parts = [
            _kernel(z[start : start + BLOCK], self.vectors, self.gamma) @ self.coefficients
            for start in range(0, len(z), BLOCK)
        ]
        return np.concatenate([np.empty((0, len(self.bias)), np.float32), *parts]) + self.bias

    def layer(self) -> Layer:
        """A KernelMachine leaf."""
        return KernelMachine(len(self.bias), len(self.vectors), self.gamma)

    def weights(self) -> Weights:
        """The leaf's arrays."""
        own = {"vectors": self.vectors, "coefficients": self.coefficients, "bias": self.bias}
        return own | self.scaling.arrays()

    def holds(self) -> str:
        """The support vectors are photos' features."""
        return f"{len(self.vectors)} support vectors, features of your photos"


def fit(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A head per option: `C` is the price of a photo on the wrong side, `gamma` is meant per feature."""
    scaling = standard(features, weights)
    z = scaling.apply(features)
    heads: list[Head] = []
    known: tuple[float, Floats] | None = None
    for option in options:
        gamma = option["gamma"] / z.shape[1]
        if known is None or known[0] != gamma:
            known = gamma, _kernel(z, z, gamma).astype(np.float64)
        coefficients, bias = _one_against_rest(known[1], labels, weights, classes, option["C"])
        used = np.flatnonzero(coefficients.any(axis=1))
        heads.append(KernelHead(scaling, z[used], coefficients[used], bias, gamma))
    return heads


def _one_against_rest(
    kernel: Floats, labels: Labels, weights: NDArray[np.float32], classes: int, price: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coefficients (N, K) and bias (K,). Of two classes one machine serves both, ± its decision value / 2."""
    from sklearn.svm import SVC  # noqa: PLC0415 - costs a second: only where it is wanted

    each = [1] if classes == 2 else range(classes)
    coefficients, bias = np.zeros((len(labels), len(each))), np.zeros((1, len(each)))
    for column, label in enumerate(each):
        machine = SVC(C=price, kernel="precomputed").fit(kernel, labels == label, sample_weight=weights)
        coefficients[machine.support_, column] = machine.dual_coef_[0]
        bias[0, column] = machine.intercept_[0]
    return two_columns(coefficients).astype(np.float32), two_columns(bias)[0].astype(np.float32)


def _kernel(rows: Features, vectors: Features, gamma: float) -> Features:
    squares = np.square(rows).sum(axis=1)[:, None] + np.square(vectors).sum(axis=1)
    return np.asarray(np.exp(-gamma * np.maximum(squares - 2 * (rows @ vectors.T), 0)))


SVM = HeadKind(
    "svm",
    fit,
    # Those with the same gamma stand together: they share a matrix.
    tuple({"C": price, "gamma": gamma} for gamma in (1.0, 0.3, 0.1) for price in (1.0, 10.0)),
    tuple({"C": 10.0, "gamma": gamma} for gamma in (1.0, 0.3)),
    MOST,
)
