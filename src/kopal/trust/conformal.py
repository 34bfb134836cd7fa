"""Sets of classes that hold the true one as often as promised, whatever the model: conformal prediction.

Each photo of a calibration part gets a number, how odd its true class looks. Of n such numbers and one of a new photo
of the same kind every order is equally likely, so the new one is at most the ⌈(n + 1) c⌉-th smallest with chance c or a
little more; all classes that do not look odder than that make the set (arXiv:2107.07511). The promise is about the mean
over calibration parts and photos: on one part coverage itself is Beta-distributed, and `coverage_band` is exact.

- lac: 1 - p of the class. The smallest sets on average; a photo that the model is torn about may get none.
- aps: the probability before the class, in descending order (arXiv:2006.02544 with u = 0, so that no chance enters an
  answer). Hard photos get longer sets and none is empty; the promise is overkept where the best class alone does.
- by-class: lac with a threshold of each class's own, so that the promise holds in every class (arXiv:1209.2673).

Scores that come out of fold are those of other heads than the one that is saved: then the promise is the weaker one of
cross-conformal prediction, about c in practice; of the folds' own heads 2 c - 1 is proven (arXiv:1905.02928).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Floats, Labels
from kopal.errors import UsageError
from kopal.trust.binomial import band, beta_binomial

Method: TypeAlias = Literal["lac", "aps", "by-class"]

LEVELS = (*(percent / 100 for percent in range(50, 100)), 0.995)
"""Promises whose thresholds a model file holds, so that `predict` can keep another than the one asked for in training.
Thresholds are some five hundred bytes; the sorted scores of the photos could be megabytes, and tell more of them."""
EVERY = 2.0
"""A threshold that no class exceeds: the set is full."""
STEP = 1e-6
"""Thresholds are rounded up to that and a step more: another machine's float32 must not lose a class at the edge."""


def rank(n: int, coverage: float) -> int:
    """⌈(n + 1) c⌉: which of n calibration scores, from the smallest, keeps the promise. In exact decimals."""
    return ceil((n + 1) * Fraction(str(coverage)))


def fewest(coverage: float) -> int:
    """How many calibration photos a promise takes: with fewer, only the full set of classes keeps it."""
    share = Fraction(str(coverage))
    return ceil(share / (1 - share))


def quantile(scores: NDArray[np.float64], coverage: float) -> float:
    """Calibration scores (n,) → the threshold; `EVERY` where there are too few."""
    place = rank(len(scores), coverage)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else EVERY


def oddness(probabilities: Floats, method: Method) -> NDArray[np.float64]:
    """Probabilities (N, K) → how odd each class looks (N, K), 0 to 1."""
    exact = probabilities.astype(np.float64)
    if method != "aps":
        return np.asarray(1 - exact)
    order = np.argsort(-exact, axis=1, kind="stable")
    falling = np.take_along_axis(exact, order, axis=1)
    before = np.cumsum(falling, axis=1) - falling
    found = np.empty_like(exact)
    np.put_along_axis(found, order, before, axis=1)
    return found


@dataclass(frozen=True)
class Sets:
    """Thresholds (L, 1), or (L, K) by class, for each of L promises, and on how many photos they stand: (1,) or (K,).

    `out_of_fold` says that the photos were scored by other heads than the one that answers.
    """

    method: Method
    levels: tuple[float, ...]
    thresholds: NDArray[np.float64]
    photos: tuple[int, ...]
    out_of_fold: bool

    def level(self, coverage: float) -> int:
        """The row of the thresholds for a promise: the next one upwards. Raises `UsageError` above the highest."""
        if not 0 < coverage <= self.levels[-1]:
            raise UsageError(
                f"--coverage {coverage:g}", f"above 0, at most {self.levels[-1]:g}, the highest that the model holds"
            )
        return int(np.searchsorted(self.levels, coverage - 1e-9))

    def members(self, probabilities: Floats, coverage: float) -> NDArray[np.bool_]:
        """Probabilities (N, K) → which classes are in the set of each photo (N, K). Raises `UsageError`."""
        return np.asarray(oddness(probabilities, self.method) <= self.thresholds[self.level(coverage)])

    def too_few(self, coverage: float) -> int:
        """With how few photos a threshold for that promise would have to be made, or 0 where there are enough."""
        return min(self.photos) if min(self.photos) < fewest(coverage) else 0

    def as_json(self) -> dict[str, Any]:
        """Plain values, as a model's card holds them; `Sets.from_json` is the way back."""
        return {
            "method": self.method,
            "levels": list(self.levels),
            "thresholds": [[round(end, 6) for end in row] for row in self.thresholds.tolist()],
            "photos": list(self.photos),
            "out_of_fold": self.out_of_fold,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], classes: int) -> Sets:
        """The sets from their JSON value. Raises `ValueError`, `TypeError` or `LookupError` where it is damaged."""
        levels = tuple(map(float, value["levels"]))
        thresholds = np.array(value["thresholds"], np.float64)
        wide = classes if value["method"] == "by-class" else 1
        if value["method"] not in get_args(Method) or not levels or list(levels) != sorted({*levels}):
            raise ValueError("a method or levels that do not exist")
        if thresholds.shape != (len(levels), wide) or not np.isfinite(thresholds).all():
            raise ValueError(f"thresholds of shape {thresholds.shape}")
        photos = tuple(map(int, value["photos"]))
        if len(photos) != wide or min(photos) < 0 or not 0 < levels[0] <= levels[-1] < 1:
            raise ValueError("photos or levels out of range")
        return Sets(value["method"], levels, thresholds, photos, bool(value["out_of_fold"]))


def fit_sets(
    probabilities: Floats, labels: Labels, method: Method, coverage: float = 0.0, out_of_fold: bool = False
) -> Sets:
    """Calibration photos that the model never learned from, (N, K) and (N,) → sets for all `LEVELS` and `coverage`."""
    own = np.take_along_axis(oddness(probabilities, method), labels[:, None], axis=1)[:, 0]
    classes = probabilities.shape[1]
    groups = [own[labels == label] for label in range(classes)] if method == "by-class" else [own]
    levels = tuple(sorted({*LEVELS, *([coverage] if coverage else [])}))
    thresholds = np.array([[_kept(quantile(group, level)) for group in groups] for level in levels])
    return Sets(method, levels, thresholds, tuple(map(len, groups)), out_of_fold)


def coverage_band(sets: Sets, coverage: float, labels: Labels) -> tuple[float, float]:
    """Where the coverage found on test photos with these labels (m,) lies in 95 of 100 cases, if the promise is kept.

    Of m test photos a beta-binomial number is covered: their common chance is Beta(r, n + 1 - r) for a threshold that
    is the r-th of n. Classes with thresholds of their own add up independently. Ties push coverage above the band only.
    """
    total = np.ones(1)
    for label, n in enumerate(sets.photos):
        m = int((labels == label).sum()) if len(sets.photos) > 1 else len(labels)
        place = rank(n, sets.levels[sets.level(coverage)])
        certain = np.eye(1, m + 1, m)[0]
        total = np.convolve(total, certain if place > n else beta_binomial(m, place, n + 1 - place))
    low, high = band(total)
    return low / len(labels), high / len(labels)


def _kept(threshold: float) -> float:
    return min(EVERY, ceil(threshold / STEP) * STEP + STEP)


def sizes(members: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sets (N, K) → how many classes are in each (N,)."""
    return np.asarray(members.sum(axis=1), np.int64)


def choices() -> Sequence[str]:
    """The methods' names."""
    return get_args(Method)
