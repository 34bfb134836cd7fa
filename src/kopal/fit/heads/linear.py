"""Linear discriminant analysis: one normal density a class, all of one shape, so that the borders are straight.

The common covariance is shrunk towards its diagonal by what Ledoit and Wolf (2004) have shown to be best: there are
about as many features as photos, and as it stands it could not be inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores
from kopal.fit.heads.head import Head, HeadKind, Option, two_columns
from kopal.fit.heads.standard import standard
from kopal.fit.logistic import Affine
from kopal.nets.fold import Weights
from kopal.nets.layers import Layer, Linear


@dataclass(frozen=True)
class LinearHead:
    """s = w·x + b: the head that every net has."""

    affine: Affine

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        return self.affine.scores(features)

    def layer(self) -> Layer:
        """One Linear layer."""
        return Linear(len(self.affine.bias))

    def weights(self) -> Weights:
        """`weight` (K, D) and `bias` (K,)."""
        return {"weight": self.affine.weight, "bias": self.affine.bias}

    def holds(self) -> str:
        """Nothing of the photos."""
        return ""


def fit(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """One head; weights of photos only change how likely a class is taken to be beforehand."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415 - costs a second: only where it is wanted

    scaling = standard(features, weights)
    shares = np.bincount(labels, weights, classes)
    # A class of one photo has no covariance; twice the same photo has one, of zeros.
    alone = np.flatnonzero((np.bincount(labels, minlength=classes) == 1)[labels])
    rows = np.concatenate([np.arange(len(labels)), alone])
    found = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=shares / shares.sum())
    found.fit(scaling.apply(features)[rows], labels[rows])
    weight, bias = two_columns(found.coef_.T).T, two_columns(found.intercept_[None])[0]
    return [LinearHead(scaling.before(weight, bias))] * len(options)


LDA = HeadKind("lda", fit)
