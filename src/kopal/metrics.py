"""What a classifier's answers are worth: pure functions of labels and probabilities, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Scores, cross_entropy, log_softmax
from kopal.errors import DataError

Z95 = 1.959963984540054


@dataclass(frozen=True)
class ClassMetrics:
    """One class: how many photos it has, and how often "it is this" and "it was this" were right.

    `intervals` are the 95 % ones of precision, recall and F1.
    """

    name: str
    n: int
    precision: float
    recall: float
    f1: float
    intervals: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] = ((0, 1), (0, 1), (0, 1))


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share, right / n (Wilson 1927): honest at small n and near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = right / n, Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def confusion(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """(K, K): row = the true class, column = the predicted one."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def per_class(table: NDArray[np.int64], names: tuple[str, ...]) -> list[ClassMetrics]:
    """Precision, recall and F1 per class from a confusion table; a share of nothing is 0."""
    if table.shape != (len(names), len(names)):
        raise DataError(f"a confusion table of shape {table.shape}", f"({len(names)}, {len(names)}), one row per class")
    rows = []
    for index, name in enumerate(names):
        hit = int(table[index, index])
        said, was = int(table[:, index].sum()), int(table[index].sum())
        f1 = 2 * hit / (said + was) if said + was else 0.0
        intervals = wilson(hit, said), wilson(hit, was), f1_interval(hit, said + was - 2 * hit)
        rows.append(ClassMetrics(name, was, hit / said if said else 0.0, hit / was if was else 0.0, f1, intervals))
    return rows


def f1_interval(hit: int, missed: int) -> tuple[float, float]:
    """The 95 % interval of a class's F1 from its right answers and its wrong ones of both kinds.

    F1 = 2 j / (1 + j) grows with j = hit / (hit + missed), the share of right ones among the photos that are of the
    class or are said to be; and j is a plain share, so Wilson's ends become those of F1. A bootstrap would give a
    class without an error the interval [1, 1]: no resample can hold an error that was never seen.
    """
    low, high = (2 * end / (1 + end) for end in wilson(hit, hit + missed))
    return low, high


def log_loss(scores: Scores, labels: Labels, temperature: float = 1.0) -> float:
    """Mean cross-entropy of softmax(scores / T) in nats; 0 is perfect, ln K is guessing."""
    return float(cross_entropy(log_softmax(scores.astype(np.float64) / temperature), labels).mean())


def photo_weights(labels: Labels, classes: int, balance: bool) -> NDArray[np.float32]:
    """(N,): 1 for each photo, or with `balance` such that every class weighs the same."""
    if not balance:
        return np.ones(len(labels), np.float32)
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * counts[labels])).astype(np.float32)
