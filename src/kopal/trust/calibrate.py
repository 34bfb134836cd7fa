"""One number, the temperature, that turns scores into probabilities one can believe (arXiv:1706.04599)."""

from __future__ import annotations

import numpy as np

from kopal.arrays import Labels, Scores, cross_entropy, log_softmax, one_hot
from kopal.metrics import log_loss

RANGE = 0.05, 20.0


def fit_temperature(scores: Scores, labels: Labels) -> float:
    """Held-out scores (N, K) and labels (N,) → the T that makes softmax(scores / T) least surprised.

    The targets are smoothed by the rule of succession: after n photos without an error the next one may still be
    wrong with chance 1 / (n + 2). Without it a perfect set of 36 photos would make every answer certain. The loss is
    convex in 1 / T, so a golden-section search finds its one minimum. T = 1 unless that is beaten. Order, label and
    accuracy are the same at any T.
    """
    count, classes = scores.shape
    if not count:
        return 1.0
    doubt = 1 / (count + 2)
    targets = one_hot(labels, classes) * (1 - doubt * classes / (classes - 1)) + doubt / (classes - 1)
    exact = scores.astype(np.float64)

    def loss(beta: float) -> float:
        return float(cross_entropy(log_softmax(exact * beta), targets).mean())

    low, high = 1 / RANGE[1], 1 / RANGE[0]
    ratio = (5**0.5 - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    losses = [loss(beta) for beta in inner]
    while high - low > 1e-4 * high:
        if losses[0] < losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - ratio * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + ratio * (high - low)
            losses[1] = loss(inner[1])
    # The file holds T as float32.
    found = float(np.float32(2 / (low + high)))
    return found if log_loss(scores, labels, found) < log_loss(scores, labels) else 1.0
