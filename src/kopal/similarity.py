"""What a backbone's features say of photos before anything is trained: whether it knows such photos, whether they fit.

**Known?** A net that was trained on ImageNet's 1000 classes still has its head. On photos of the kind that it learned
from one class stands out from the other 999; on others the scores are a heap without a top. How far the best score
stands above their mean, in standard deviations, is `prominence`: the largest logit as a detector of the unfamiliar
(arXiv:1911.11132), in units that are the same for every net. For 1000 independent normal numbers it would be 3.2.

Measured, mean over the photos, with EfficientNet-Lite0 (Lite1 and Lite2 agree to 0.9):

    soft blobs 4.2 · digits 4.4 · drawn shapes 4.7 · CIFAR-10 enlarged 4.9 · noise 5.1 · FashionMNIST 5.2
    clothing 7.5 · cats, dogs and alpacas 7.6

`FAMILIAR` lies half-way between the two groups, in factors. Twelve photos suffice to tell them apart; a single class
of a similar set (5.7 to 8.4 over the classes of clothing) may fall below. Other measures that were tried order the sets
in the same way, with less room between them: the largest probability (0.26 against 0.51), and the cosine between the
mean features and what the last batch norm's ImageNet statistics predict (0.64 against 0.68).

**Fit?** `log_evidence` is LogME (arXiv:2102.11005): how probable the labels are under the best linear model with
Gaussian weights and noise, per photo. It compares backbones on the same photos, higher is better. It says nothing
across sets (cats, dogs and alpacas 0.40, FashionMNIST 0.42, digits 0.42, clothing 0.43): it does not decide what is
similar.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels

FAMILIAR = 6.2
"""Mean prominence from which photos count as similar to what the backbone learned from."""

STEPS, SETTLED = 100, 1e-5


def prominence(features: Features, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features (N, D) and the backbone's own head, (K, D) and (K,) → (N,): deviations of the best score from the mean.

    Not the user's classes: those that the backbone was trained for. Equal scores have nothing that stands out: 0.
    """
    scores = (features @ weight.T + bias).astype(np.float64)
    above = scores.max(axis=1) - scores.mean(axis=1)
    deviation = scores.std(axis=1)
    return np.asarray(np.divide(above, deviation, out=np.zeros_like(above), where=deviation > 0))


def log_evidence(features: Features, labels: Labels, classes: int) -> float:
    """Features (N, D), labels (N,) → the mean over classes of the largest log evidence, per photo, in nats (LogME)."""
    count, width = len(features), features.shape[1]
    # U's columns span the features; only lengths along them matter.
    left, spread = _spectrum(features.astype(np.float64))
    targets = (labels[:, None] == np.arange(classes)).astype(np.float64)
    along = left.T @ targets
    outside = np.maximum((targets**2).sum(axis=0) - (along**2).sum(axis=0), 0)
    each = [_evidence(spread, along[:, k], float(outside[k]), count, width) for k in range(classes)]
    return float(np.mean(each) / count)


def _spectrum(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The left singular vectors (N, A) and the squared singular values (A,), through the smaller of the two squares."""
    if len(features) <= features.shape[1]:
        squares, left = np.linalg.eigh(features @ features.T)
        return left, np.maximum(squares, 0)
    squares, right = np.linalg.eigh(features.T @ features)
    kept = squares > 1e-10 * squares.max()
    return features @ (right[:, kept] / np.sqrt(squares[kept])), squares[kept]


def _evidence(spread: NDArray[np.float64], along: NDArray[np.float64], outside: float, count: int, width: int) -> float:
    """The log evidence of one target at its best precisions α of the weights and β of the noise (MacKay's fixed point).

    `along` are the target's coordinates on the features' axes, `outside` the squared length of what is off them.
    """
    alpha, beta = 1.0, 1.0
    weights = left_over = 0.0
    for _ in range(STEPS):
        precision = alpha + beta * spread
        weights = float((beta**2 * spread * along**2 / precision**2).sum())
        left_over = float(((alpha * along / precision) ** 2).sum()) + outside
        effective = float((beta * spread / precision).sum())
        before = alpha, beta
        # Labels that are fitted exactly would ask for infinite precision.
        alpha = effective / max(weights, 1e-12)
        beta = (count - effective) / max(left_over, 1e-12)
        if abs(alpha * before[1] / (before[0] * beta) - 1) < SETTLED:
            break
    precision = alpha + beta * spread
    weights = float((beta**2 * spread * along**2 / precision**2).sum())
    left_over = float(((alpha * along / precision) ** 2).sum()) + outside
    # Directions in which the features do not vary add log α - log α = 0.
    determinant = float(np.log(precision).sum()) + (width - len(spread)) * np.log(alpha)
    return float(
        (width * np.log(alpha) + count * np.log(beta) - determinant - beta * left_over - alpha * weights) / 2
        - count / 2 * np.log(2 * np.pi)
    )
