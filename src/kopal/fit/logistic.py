"""Softmax regression with an L2 penalty, solved to a tolerance for a row of penalties, strongest first.

    minimise  mean_n w_n · cross-entropy(softmax(W z_n + b), y_n)  +  penalty / 2 · ‖W‖²

z are the features, standardised and then turned into their principal axes. The turn changes neither the model nor
the penalty, but there the curvature is nearly diagonal: at most ½ · variance + penalty (Böhning's bound, 1992), and
dividing by its root makes L-BFGS need a third of the steps. The result is folded back into an affine map of the raw
features. scikit-learn reaches the same optimum (a test) in several times the time: its solver and NumPy bring a thread
pool each, and the two wait for one another (benchmarks/logistic.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores, one_hot
from kopal.fit.lbfgs import minimise

AXES_LIMIT = 4096
"""Above this many features the principal axes cost more than they save."""

DEVIATION_FLOOR = 0.01
"""Features that hardly vary are not blown up: no deviation counts as less than this share of the mean one."""

BLOCK = 8192
AT_ONCE = 1024
"""Rows that are looked at together: their numbers stay in the processor's cache from the scores to the gradient."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """scores = features · weightᵀ + bias: weight (K, D), bias (K,)."""

    weight: Matrix
    bias: Matrix

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        return features @ self.weight.T + self.bias


def fit_path(
    features: Features,
    labels: Labels,
    weights: Matrix,
    classes: int,
    penalties: Sequence[float],
    tolerance: float,
    axes: Matrix | None = None,
) -> list[Affine]:
    """Features (N, D), labels (N,), weights (N,) → one affine map per penalty, each started from the one before.

    Photos of weight 0 have no say. `axes` are `principal_axes` of much the same photos, instead of their own.
    """
    rows = np.flatnonzero(weights)
    weights = weights[rows] / weights.sum()
    mean, scale = _standard(features, weights, rows)
    if axes is None:
        axes = _axes(features, weights, rows, mean, scale)
    turned = np.empty((len(rows), features.shape[1] if axes is None else axes.shape[1]), np.float32)
    for block in _blocks(len(rows), BLOCK):
        standardised = (features[rows[block]] - mean) * scale
        turned[block] = standardised if axes is None else standardised @ axes
    targets = one_hot(labels[rows], classes).astype(np.float32)
    theta = np.zeros((turned.shape[1] + 1, classes), np.float32)
    path = []
    for penalty in penalties:
        # Not from where the last two solutions point: that saves a third of the steps, but a search that stops early
        # then stops elsewhere than the head that is kept, whose scores on new photos look drifted.
        theta = _solve(turned, targets, weights, penalty, theta, tolerance)
        weight = theta[:-1] if axes is None else axes @ theta[:-1]
        weight = weight.T * scale
        path.append(Affine(weight.astype(np.float32), (theta[-1] - weight @ mean).astype(np.float32)))
    return path


def principal_axes(features: Features) -> Matrix | None:
    """Features (N, D) → the axes (D, A) in which they vary independently once standardised, for folds to share.

    Only the speed depends on them, where N is at least D. None for more than `AXES_LIMIT` features.
    """
    rows = np.arange(len(features))
    weights = np.full(len(rows), 1 / len(rows), np.float32)
    return _axes(features, weights, rows, *_standard(features, weights, rows))


def inverse_deviation(deviation: Matrix) -> Matrix:
    """Deviations (D,) → what to multiply each feature by; 0 for those that do not vary."""
    floor = DEVIATION_FLOOR * deviation.mean() if deviation.size else 0.0
    varies = deviation > 0
    return np.where(varies, 1 / np.where(varies, np.maximum(deviation, floor), 1), 0).astype(np.float32)


def _standard(features: Features, weights: Matrix, rows: NDArray[np.int64]) -> tuple[Matrix, Matrix]:
    """Mean (D,) and inverse deviation (D,) of some rows, whose weights (R,) sum to 1."""
    blocks = _blocks(len(rows), BLOCK)
    mean = sum(weights[block] @ features[rows[block]] for block in blocks)
    variance = sum(weights[block] @ np.square(features[rows[block]] - mean) for block in blocks)
    return np.asarray(mean, np.float32), inverse_deviation(np.sqrt(variance))


def _axes(features: Features, weights: Matrix, rows: NDArray[np.int64], mean: Matrix, scale: Matrix) -> Matrix | None:
    """The axes (D, A) in which the standardised rows vary independently; None where there are too many features."""
    width = features.shape[1]
    if width > AXES_LIMIT:
        return None
    if len(rows) < width:
        # Few photos: they span few axes, and the penalty keeps the solution among those.
        whitened = (features[rows] - mean) * scale * np.sqrt(weights)[:, None]
        return np.asarray(np.linalg.svd(whitened, full_matrices=False)[2].T)
    covariance = np.zeros((width, width), np.float32)
    for block in _blocks(len(rows), BLOCK):
        standardised = (features[rows[block]] - mean) * scale
        covariance += standardised.T @ (standardised * weights[block, None])
    return np.asarray(np.linalg.eigh(covariance)[1])


def _blocks(count: int, size: int) -> list[slice]:
    """The rows in pieces, so that many photos never need a second copy of all features."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _solve(
    features: Matrix, targets: Matrix, weights: Matrix, penalty: float, start: Matrix, tolerance: float
) -> Matrix:
    blocks = _blocks(len(features), AT_ONCE)
    variance = sum(weights[block] @ np.square(features[block]) for block in blocks)
    steepness = np.append(0.5 * variance + penalty, 0.5).astype(np.float32)
    unit: Matrix = (1 / np.sqrt(steepness))[:, None].astype(np.float32)

    def objective(point: Matrix) -> tuple[float, Matrix]:
        theta = point.reshape(start.shape) * unit
        loss = 0.5 * penalty * float(np.vdot(theta[:-1], theta[:-1]))
        gradient = penalty * theta
        gradient[-1] = 0
        for block in blocks:
            z, weight = features[block], weights[block]
            scores = z @ theta[:-1]
            scores += theta[-1]
            scores -= scores.max(axis=1, keepdims=True)
            likelihoods = np.exp(scores)
            total = likelihoods.sum(axis=1)
            loss += float(weight @ (np.log(total) - (scores * targets[block]).sum(axis=1)))
            # dL/ds = p̂ - p, the lecture's line
            residual = likelihoods
            residual /= total[:, None]
            residual -= targets[block]
            residual *= weight[:, None]
            gradient[:-1] += (residual.T @ z).T
            gradient[-1] += residual.sum(axis=0)
        return loss, np.asarray(gradient * unit, np.float32).ravel()

    found = minimise(objective, np.asarray(start / unit, np.float32).ravel(), tolerance)
    return np.asarray(found.reshape(start.shape) * unit, np.float32)
