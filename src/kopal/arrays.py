"""The arrays that everything else speaks of, and the four formulas between them. NumPy only.

Pixels         uint8    (N, H, W, C)   what a photo is after `images.read`; C is 1 or 3
Scores         float32  (N, K)         one number per class, any range
Probabilities  float32  (N, K)         rows sum to one
Labels         int64    (N,)           0..K-1, positions in the list of class names
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.errors import DataError

Pixels: TypeAlias = NDArray[np.uint8]
Scores: TypeAlias = NDArray[np.float32]
Probabilities: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]
Features: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.floating[Any]]


def softmax(scores: Floats) -> Floats:
    """Scores (N, K) → probabilities (N, K), exp(s) / Σ exp(s) per row.

    The largest score of each row is subtracted first, which cancels in the fraction: the plain formula overflows at
    s = 89 in float32 and s = 710 in float64.
    """
    return np.exp(log_softmax(scores))


def log_softmax(scores: Floats) -> Floats:
    """Scores (N, K) → log probabilities (N, K), without ever taking the log of a rounded zero."""
    if scores.shape[-1] == 0:
        raise DataError("softmax of no classes", "at least one score per row")
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def one_hot(labels: Labels, classes: int) -> Floats:
    """Labels (N,) → distributions (N, K) float32: 1 at the label, 0 elsewhere."""
    if labels.size and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise DataError(f"labels run from {labels.min()} to {labels.max()}", f"0 to {classes - 1}")
    encoded = np.zeros((len(labels), classes), np.float32)
    encoded[np.arange(len(labels)), labels] = 1
    return encoded


def cross_entropy(log_probabilities: Floats, target: Labels | Floats) -> Floats:
    """-Σ p log p̂ per row: log p̂ (N, K) and p, as labels (N,) or distributions (N, K) → losses (N,).

    The data set's loss is their mean.
    """
    if target.ndim == 1:
        return np.asarray(-log_probabilities[np.arange(len(target)), target])
    # A zero of the target silences its class, also where log p̂ is -inf.
    return np.asarray(-(target * np.where(target > 0, log_probabilities, 0)).sum(axis=-1))
