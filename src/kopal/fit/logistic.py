"""Softmax regression with an L2 penalty, solved to a tolerance for a row of penalties, strongest first.

    minimise  mean_n w_n · cross-entropy(softmax(W z_n + b), y_n)  +  penalty / 2 · ‖W‖²

z are the features, standardised and then turned into their principal axes. The turn changes neither the model nor
the penalty, but there the curvature is nearly diagonal: at most ½ · variance + penalty (Böhning's bound, 1992), and
dividing by its root makes L-BFGS need a third of the steps. The result is folded back into an affine map of the raw
features. scikit-learn reaches the same optimum (a test) in several times the time: its solver and NumPy bring a thread
pool each, and the two wait for one another (benchmarks/logistic.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Floats, Labels, Scores, one_hot
from kopal.fit.lbfgs import minimise

AXES_LIMIT = 4096
"""Above this many features the principal axes cost more than they save."""

DEVIATION_FLOOR = 0.01
"""Features that hardly vary are not blown up: no deviation counts as less than this share of the mean one."""

BLOCK = 8192

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
    features: Features, labels: Labels, weights: Matrix, classes: int, penalties: Sequence[float], tolerance: float
) -> list[Affine]:
    """Features (N, D), labels (N,), weights (N,) → one affine map per penalty, each started from the one before."""
    weights = weights / weights.sum()
    mean = weights @ features
    deviation = np.sqrt(sum(weights[rows] @ np.square(features[rows] - mean) for rows in _blocks(features)))
    scale = inverse_deviation(deviation)
    axes, variance = _principal_axes(features, weights, mean, scale)
    turned = np.empty((len(features), len(variance)), np.float32)
    for rows in _blocks(features):
        standardised = (features[rows] - mean) * scale
        turned[rows] = standardised if axes is None else standardised @ axes
    targets = one_hot(labels, classes)
    theta = np.zeros((turned.shape[1] + 1, classes), np.float32)
    path = []
    for penalty in penalties:
        theta = _solve(turned, targets, weights, variance, penalty, theta, tolerance)
        weight = theta[:-1] if axes is None else axes @ theta[:-1]
        weight = weight.T * scale
        path.append(Affine(weight.astype(np.float32), (theta[-1] - weight @ mean).astype(np.float32)))
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
    for rows in _blocks(features):
        standardised = (features[rows] - mean) * scale
        covariance += standardised.T @ (standardised * weights[rows, None])
    variance, axes = np.linalg.eigh(covariance)
    return axes, np.maximum(variance, 0)


def _blocks(features: Features) -> Iterator[slice]:
    """The rows in blocks, so that many photos never need a second copy of all features."""
    return (slice(start, start + BLOCK) for start in range(0, len(features), BLOCK))


def _solve(
    features: Matrix,
    targets: Floats,
    weights: Matrix,
    variance: Matrix,
    penalty: float,
    start: Matrix,
    tolerance: float,
) -> Matrix:
    steepness = np.append(0.5 * variance + penalty, 0.5).astype(np.float32)
    unit: Matrix = (1 / np.sqrt(steepness))[:, None].astype(np.float32)

    def objective(point: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        theta = point.reshape(start.shape) * unit
        scores = features @ theta[:-1]
        scores += theta[-1]
        scores -= scores.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scores).sum(axis=1))
        loss = float(weights @ (log_sum - (scores * targets).sum(axis=1)))
        loss += 0.5 * penalty * float(np.vdot(theta[:-1], theta[:-1]))
        # dL/ds = p̂ - p, the lecture's line
        residual = np.exp(scores - log_sum[:, None])
        residual -= targets
        residual *= weights[:, None]
        gradient = np.empty_like(theta)
        gradient[:-1] = (residual.T @ features).T + penalty * theta[:-1]
        gradient[-1] = residual.sum(axis=0)
        return loss, np.asarray(gradient * unit, np.float32).ravel()

    found = minimise(objective, np.asarray(start / unit, np.float32).ravel(), tolerance)
    return np.asarray(found.reshape(start.shape) * unit, np.float32)
