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
AT_ONCE = 512
"""Rows that a step looks at together: their numbers stay in the processor's cache from the scores to the gradient."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """scores = features · weightᵀ + bias: weight (K, D), bias (K,)."""

    weight: Matrix
    bias: Matrix

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Turned:
    """Features as the solver sees them: `rows` (N, A) = (features - mean) · scale, turned into `axes` (D, A).

    `variance` (A,) is that along each axis. Without axes the columns stay as they are.
    """

    rows: Matrix
    mean: Matrix
    scale: Matrix
    axes: Matrix | None
    variance: Matrix

    def affine(self, theta: Matrix) -> Affine:
        """A solution (A + 1, K), the bias last → the map of raw features that it stands for."""
        weight = theta[:-1] if self.axes is None else self.axes @ theta[:-1]
        weight = weight.T * self.scale
        return Affine(weight.astype(np.float32), (theta[-1] - weight @ self.mean).astype(np.float32))


def turn(features: Features, weights: Matrix, order: NDArray[np.int64] | None = None) -> Turned:
    """Features (N, D), the weight of each row (N,) in mean and spread → the rows turned, in that order if there is one.

    No label has a part in it, so that one turn serves all folds (Hastie, Tibshirani and Friedman, 2009, 7.10.2).
    """
    weights = weights / weights.sum()
    mean = weights @ features
    blocks = _blocks(slice(0, len(features)), BLOCK)
    deviation = np.sqrt(sum(weights[rows] @ np.square(features[rows] - mean) for rows in blocks))
    scale = inverse_deviation(deviation)
    axes, variance = _principal_axes(features, weights, mean, scale)
    turned = np.empty((len(features), len(variance)), np.float32)
    for rows in blocks:
        standardised = (features[rows if order is None else order[rows]] - mean) * scale
        turned[rows] = standardised if axes is None else standardised @ axes
    return Turned(turned, mean, scale, axes, variance)


def fit_path(
    features: Features, labels: Labels, weights: Matrix, classes: int, penalties: Sequence[float], tolerance: float
) -> list[Affine]:
    """Features (N, D), labels (N,), weights (N,) → one affine map per penalty, each started from the one before."""
    return follow(turn(features, weights), labels, weights, classes, penalties, tolerance)


def follow(
    turned: Turned,
    labels: Labels,
    weights: Matrix,
    classes: int,
    penalties: Sequence[float],
    tolerance: float,
    without: slice = slice(0),
) -> list[Affine]:
    """`fit_path` on rows that are turned already, with labels and weights in their order, `without` some of them."""
    kept = [rows for part in _around(without, len(labels)) for rows in _blocks(part, AT_ONCE)]
    weights = weights / sum(float(weights[rows].sum()) for rows in kept)
    targets = one_hot(labels, classes).astype(np.float32)
    theta = np.zeros((turned.rows.shape[1] + 1, classes), np.float32)
    path = []
    for penalty in penalties:
        theta = _solve(turned, targets, weights, kept, penalty, theta, tolerance)
        path.append(turned.affine(theta))
    return path


def inverse_deviation(deviation: Matrix) -> Matrix:
    """Deviations (D,) → what to multiply each feature by; 0 for those that do not vary."""
    floor = DEVIATION_FLOOR * deviation.mean() if deviation.size else 0.0
    varies = deviation > 0
    return np.where(varies, 1 / np.where(varies, np.maximum(deviation, floor), 1), 0).astype(np.float32)


def _principal_axes(features: Features, weights: Matrix, mean: Matrix, scale: Matrix) -> tuple[Matrix | None, Matrix]:
    """The axes (D, A) in which the standardised features vary independently, and their variances (A,)."""
    if features.shape[1] > AXES_LIMIT:
        return None, np.square(np.sign(scale))
    if len(features) < features.shape[1]:
        # Few photos: they span few axes, and the penalty keeps the solution among those.
        whitened = (features - mean) * scale * np.sqrt(weights)[:, None]
        _, spread, axes = np.linalg.svd(whitened, full_matrices=False)
        return axes.T, np.square(spread)
    covariance = np.zeros((features.shape[1], features.shape[1]), np.float32)
    for rows in _blocks(slice(0, len(features)), BLOCK):
        standardised = (features[rows] - mean) * scale
        covariance += standardised.T @ (standardised * weights[rows, None])
    variance, axes = np.linalg.eigh(covariance)
    return axes, np.maximum(variance, 0)


def _around(hole: slice, count: int) -> tuple[slice, slice]:
    """What is left of `count` rows before and after some of them."""
    start, stop, _ = hole.indices(count)
    return slice(0, start), slice(stop, count)


def _blocks(rows: slice, size: int) -> list[slice]:
    """A slice of the rows in pieces, so that many photos never need a second copy of all features."""
    return [slice(start, min(start + size, rows.stop)) for start in range(rows.start, rows.stop, size)]


def _solve(
    turned: Turned,
    targets: Matrix,
    weights: Matrix,
    kept: Sequence[slice],
    penalty: float,
    start: Matrix,
    tolerance: float,
) -> Matrix:
    steepness = np.append(0.5 * turned.variance + penalty, 0.5).astype(np.float32)
    unit: Matrix = (1 / np.sqrt(steepness))[:, None].astype(np.float32)

    def objective(point: Matrix) -> tuple[float, Matrix]:
        theta = point.reshape(start.shape) * unit
        loss = 0.5 * penalty * float(np.vdot(theta[:-1], theta[:-1]))
        gradient = penalty * theta
        gradient[-1] = 0
        for rows in kept:
            z, weight = turned.rows[rows], weights[rows]
            scores = z @ theta[:-1]
            scores += theta[-1]
            scores -= scores.max(axis=1, keepdims=True)
            likelihoods = np.exp(scores)
            total = likelihoods.sum(axis=1)
            loss += float(weight @ (np.log(total) - (scores * targets[rows]).sum(axis=1)))
            # dL/ds = p̂ - p, the lecture's line
            residual = likelihoods
            residual /= total[:, None]
            residual -= targets[rows]
            residual *= weight[:, None]
            gradient[:-1] += (residual.T @ z).T
            gradient[-1] += residual.sum(axis=0)
        return loss, np.asarray(gradient * unit, np.float32).ravel()

    found = minimise(objective, np.asarray(start / unit, np.float32).ravel(), tolerance)
    return np.asarray(found.reshape(start.shape) * unit, np.float32)
