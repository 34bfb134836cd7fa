"""Exact chances of counts: binomial and beta-binomial, and the intervals and tests that follow. No SciPy.

Prediction must not load SciPy, and `lgamma` with one continued fraction is all that is needed of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

TERMS, PRECISION, TINY = 100_000, 1e-15, 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b): the chance that Beta(a, b) is at most x.

    By its continued fraction (DLMF 8.17.22), evaluated from the left by Lentz's method; it converges fast left of
    the mean, so right of it the mirrored one is taken.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    numerator, denominator = 1.0, _inverse(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            numerator, denominator = _nonzero(1 + term / numerator), _inverse(1 + term * denominator)
            value *= numerator * denominator
        if abs(numerator * denominator - 1) < PRECISION:
            break
    return front * value


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _inverse(value: float) -> float:
    return 1 / _nonzero(value)


def at_most(count: int, n: int, share: float) -> float:
    """The chance of `count` or fewer in n draws that each succeed with chance `share`."""
    if count < 0 or count >= n:
        return float(count >= n)
    return incomplete_beta(n - count, count + 1, 1 - share)


def upper_bound(count: int, n: int, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson bound: the share above which so few would have a chance of 1 - confidence."""
    return _solve(lambda share: at_most(count, n, share) - (1 - confidence)) if count < n else 1.0


def clopper_pearson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a share, count / n (Clopper and Pearson 1934): never below its promise."""
    if n == 0:
        return 0.0, 1.0
    each = (1 + confidence) / 2
    return 1 - upper_bound(n - count, n, each), upper_bound(count, n, each)


def beta_binomial(n: int, a: float, b: float) -> NDArray[np.float64]:
    """(n + 1,): the chance of each count in n draws whose common chance was itself drawn from Beta(a, b)."""
    k = np.arange(n)
    steps = np.log((n - k) * (a + k)) - np.log((k + 1.0) * (b + n - k - 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    chances = np.exp(logs - logs.max())
    return np.asarray(chances / chances.sum())


def band(chances: NDArray[np.float64], confidence: float = 0.95) -> tuple[int, int]:
    """The counts from … to that hold the middle of a distribution; each tail beyond has at most half of the rest."""
    below = np.cumsum(chances)
    tail = (1 - confidence) / 2
    low, high = (int(np.searchsorted(below, share)) for share in (tail, 1 - tail))
    return low, min(high, len(chances) - 1)


def mcnemar(only_first: int, only_second: int) -> float:
    """Photos that only one of two models has right → the two-sided p of the exact test (McNemar 1947).

    Were both equally good, each such photo would be either's with chance one half.
    """
    return min(1.0, 2 * at_most(min(only_first, only_second), only_first + only_second, 0.5))


def kolmogorov(distance: float, n: float, m: float = inf) -> float:
    """The p of a largest distance between the cumulative shares of two samples of n and m numbers.

    Kolmogorov's series with Stephens' correction for small samples (1970).
    """
    root = (n if m == inf else n * m / (n + m)) ** 0.5
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)), 0, 1))


def _solve(falling: Callable[[float], float]) -> float:
    """Where a function on 0 to 1 that falls through zero does so, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
