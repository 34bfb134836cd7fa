"""One number, the temperature, that turns scores into probabilities one can believe (arXiv:1706.04599)."""

from __future__ import annotations

from math import sqrt

import numpy as np

from kopal.arrays import Labels, Scores, one_hot, softmax
from kopal.metrics import log_loss

RANGE = 0.05, 20.0
PRECISION = 1e-5


def fit_temperature(scores: Scores, labels: Labels) -> float:
    """Held-out scores (N, K) and labels (N,) → the T that makes softmax(scores / T) least surprised.

    The targets are smoothed by the rule of succession: after n photos without an error the next one may still be
    wrong with chance 1 / (n + 2). Without it a perfect set of 36 photos would make every answer certain. The loss is
    convex in 1 / T, so Newton's steps, halved where they leave the bracket, find its one minimum. T = 1 unless that is
    beaten. Order, label and accuracy are the same at any T.
    """
    count, classes = scores.shape
    if not count:
        return 1.0
    doubt = 1 / (count + 2)
    targets = one_hot(labels, classes) * (1 - doubt * classes / (classes - 1)) + doubt / (classes - 1)
    exact = scores.astype(np.float64)
    wanted = float((exact * targets).sum(axis=1).mean())
    low, high, beta = 1 / RANGE[1], 1 / RANGE[0], 1.0
    while high - low > PRECISION * high:
        shares = softmax(exact * beta)
        mean = (shares * exact).sum(axis=1)
        slope = float(mean.mean()) - wanted
        low, high = (low, beta) if slope > 0 else (beta, high)
        curvature = float(((shares * exact * exact).sum(axis=1) - mean * mean).mean())
        step = slope / curvature if curvature > 0 else float("inf")
        beta -= step
        if not low < beta < high:
            beta = sqrt(low * high)
        elif abs(step) < PRECISION * beta:
            break
    # The file holds T as float32.
    found = float(np.float32(1 / beta))
    return found if log_loss(scores, labels, found) < log_loss(scores, labels) else 1.0
