"""Whether probabilities can be believed: of the photos answered with 0.9, nine in ten should be right.

The expected calibration error takes 15 bins (arXiv:1706.04599) of equally many photos, which biases it less than bins
of equal width (arXiv:2012.08668); fewer bins where one would hold fewer than twenty photos. On few photos it is far
from 0 also for a perfect model; so it comes with the value that is left when that bias is taken off, and with an
interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from math import erf, exp, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Floats, Labels, Probabilities, Scores, softmax
from kopal.metrics import log_loss, wilson
from kopal.trust.resampling import CHUNK, resamples

BINS, FEWEST = 15, 20


@dataclass(frozen=True)
class Bin:
    """Photos of similar confidence: how many, between which confidences, their mean, and how many were right."""

    n: int
    low: float
    high: float
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % Wilson interval."""
        return wilson(self.right, self.n)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"accuracy": self.accuracy, "interval": list(self.interval)}


@dataclass(frozen=True)
class Calibration:
    """What the probabilities are worth: each number after the temperature, and `before` it in the same order.

    `log_loss` in nats; `brier` is the mean of Σ (p - truth)² over the classes, 0 to 2; `ece` the expected calibration
    error as it is found, `ece_debiased` without what chance alone adds, `interval` its 95 % one.
    """

    temperature: float
    log_loss: float
    brier: float
    ece: float
    ece_debiased: float
    interval: tuple[float, float]
    before: tuple[float, float, float]
    bins: tuple[Bin, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as report.json has them under "calibration"."""
        return {
            "temperature": self.temperature,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "ece": self.ece,
            "ece_debiased": self.ece_debiased,
            "ece_interval": list(self.interval),
            "before": dict(zip(("log_loss", "brier", "ece"), self.before, strict=True)),
            "bins": [row.as_json() for row in self.bins],
        }


def calibration(scores: Scores, labels: Labels, temperature: float, seed: int = 0) -> Calibration:
    """Scores (N, K) before the temperature and labels (N,), N > 0 → the numbers with and without it."""
    before, after = (softmax(scores.astype(np.float64) / heat) for heat in (1.0, temperature))
    confidence, right = confidences(after, labels)
    rows = bins(confidence, right)
    return Calibration(
        temperature,
        log_loss(scores, labels, temperature),
        brier(after, labels),
        ece(rows),
        debiased_ece(rows),
        ece_interval(confidence, right, seed),
        (log_loss(scores, labels), brier(before, labels), ece(bins(*confidences(before, labels)))),
        tuple(rows),
    )


def probabilities_of(scores: Scores, temperature: float) -> Probabilities:
    """Scores (N, K) before the temperature → the probabilities (N, K) that a model file gives for them."""
    return softmax(scores / np.float32(temperature)).astype(np.float32)


def confidences(probabilities: Floats | Probabilities, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities (N, K) and labels (N,) → the probability of each answer (N,), and whether it is right (N,)."""
    answers = probabilities.argmax(axis=1)
    sure = np.take_along_axis(probabilities, answers[:, None], axis=1)[:, 0]
    return sure.astype(np.float64), answers == labels


def brier(probabilities: Floats, labels: Labels) -> float:
    """The mean squared distance of probabilities (N, K) from the truth (Brier 1950): 0 perfect, 2 surely wrong."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return float(((probabilities**2).sum(axis=1) + 1 - 2 * own).mean())


def bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Confidences (N,) and whether the answers are right (N,) → up to 15 bins of equally many photos each."""
    order = np.argsort(confidence, kind="stable")
    sure, hit = confidence[order], right[order]
    return [
        Bin(to - start, float(sure[start]), float(sure[to - 1]), float(sure[start:to].mean()), int(hit[start:to].sum()))
        for start, to in _edges(len(sure))
    ]


def ece(rows: list[Bin]) -> float:
    """The expected calibration error: the mean over photos of |accuracy - confidence| in their bin."""
    return sum(row.n * abs(row.accuracy - row.confidence) for row in rows) / sum(row.n for row in rows)


def debiased_ece(rows: list[Bin]) -> float:
    """The same less what chance adds to it, after arXiv:1909.10155.

    Were a bin measured again, its gap d would vary with the standard error s; the mean of |d + s z| over normal z (a
    folded normal) is larger than |d|, by about as much as |d| is too large already. Never below 0.
    """
    total = 0.0
    for row in rows:
        gap, s = abs(row.accuracy - row.confidence), sqrt(row.accuracy * (1 - row.accuracy) / row.n)
        folded = gap if s == 0 else s * sqrt(2 / pi) * exp(-(gap**2) / (2 * s * s)) + gap * erf(gap / (s * sqrt(2)))
        total += row.n * (2 * gap - folded)
    return max(0.0, total / sum(row.n for row in rows))


def ece_interval(confidence: NDArray[np.float64], right: NDArray[np.bool_], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the calibration error by the bootstrap, within bins (benchmarks/calibration_error.py).

    Its lower end spreads from the debiased value, its upper one from what was found: the truth lies between the two.
    It starts at 0 unless the error found is more than a perfectly calibrated model shows on these photos in 39 of 40
    trials: labels are drawn by the confidences themselves (consistency resampling, Bröcker and Smith 2007).
    """
    order = np.argsort(confidence, kind="stable")
    sure, gaps = confidence[order], right[order] - confidence[order]
    edges = np.array(_edges(len(sure)))
    starts, sizes = edges[:, 0], edges[:, 1] - edges[:, 0]
    first, width = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    rng, left = np.random.default_rng(seed), resamples(len(sure))
    perfect: list[NDArray[np.float64]] = []
    again: list[NDArray[np.float64]] = []
    while left > 0:
        shape = (min(max(1, CHUNK // len(sure)), left), len(sure))
        fair = (rng.random(shape) < sure) - sure
        drawn = gaps[first + (rng.random(shape) * width).astype(np.int64)]
        for found, values in ((perfect, fair), (again, drawn)):
            found.append(np.abs(np.add.reduceat(values, starts, axis=1)).sum(axis=1) / len(sure))
        left -= len(fair)
    rows = bins(confidence, right)
    spread, found_ece = np.concatenate(again), ece(rows)
    below, above = np.quantile(spread, (0.025, 0.975)) - spread.mean()
    chance = found_ece <= np.quantile(np.concatenate(perfect), 0.975)
    low = 0.0 if chance else max(0.0, debiased_ece(rows) + float(below))
    return low, min(1.0, found_ece + float(above))


def _edges(n: int) -> list[tuple[int, int]]:
    ends = np.linspace(0, n, min(BINS, max(1, n // FEWEST)) + 1).round().astype(int)
    return [(int(start), int(to)) for start, to in pairwise(ends)]
