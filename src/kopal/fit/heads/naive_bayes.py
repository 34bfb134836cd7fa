"""Naive Bayes: each feature has a normal density in each class, and is taken to know nothing of the others.

log p(x, class) = log prior + Σ_d log N(x_d; mean, variance), less the mean over the classes, which a softmax does not
see, and divided by √D: features that agree for one reason are counted as so many reasons, and this brings the scores
to where a temperature can reach them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores, one_hot
from kopal.fit.heads.head import Head, HeadKind, Option
from kopal.fit.heads.standard import Standard, standard
from kopal.nets.fold import Weights
from kopal.nets.heads import GaussianBayes
from kopal.nets.layers import Layer


@dataclass(frozen=True)
class BayesHead:
    """scores = z² · squaresᵀ + z · linearᵀ + bias of standardised features z: (K, D), (K, D), (K,)."""

    scaling: Standard
    squares: NDArray[np.float32]
    linear: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        z = self.scaling.apply(features)
        return np.square(z) @ self.squares.T + z @ self.linear.T + self.bias

    def layer(self) -> Layer:
        """A GaussianBayes leaf."""
        return GaussianBayes(len(self.bias))

    def weights(self) -> Weights:
        """The leaf's arrays."""
        return {"squares": self.squares, "linear": self.linear, "bias": self.bias} | self.scaling.arrays()

    def holds(self) -> str:
        """Nothing of single photos."""
        return ""


def fit(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A head per option: `smoothing` is what is added to every variance, as a share of the largest one over all."""
    scaling = standard(features, weights)
    z = scaling.apply(features).astype(np.float64)
    members = one_hot(labels, classes).T * weights
    shares = members.sum(axis=1)
    members = members / shares[:, None]
    mean = members @ z
    own = np.maximum(members @ np.square(z) - np.square(mean), 0)
    largest = float(((weights / weights.sum()) @ np.square(z)).max())
    heads: list[Head] = []
    for option in options:
        # Where no feature varies at all every variance is as good as another.
        variance = own + option["smoothing"] * (largest or 1.0)
        squares, linear = -0.5 / variance, mean / variance
        bias = np.log(shares / shares.sum()) - 0.5 * (np.square(mean) / variance + np.log(variance)).sum(axis=1)
        parts = [
            ((part - part.mean(axis=0)) / np.sqrt(z.shape[1])).astype(np.float32) for part in (squares, linear, bias)
        ]
        heads.append(BayesHead(scaling, *parts))
    return heads


NAIVE_BAYES = HeadKind(
    "naive-bayes",
    fit,
    tuple({"smoothing": share} for share in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
    tuple({"smoothing": share} for share in (0.03, 0.3)),
)
