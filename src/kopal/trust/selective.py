"""Answering only what one is sure of: how rare errors become, and from which confidence on they are rare enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.trust.binomial import at_most, upper_bound

DOUBT = 0.05
"""How often the promise may be broken: it holds with 95 % confidence."""
STARTS, MANY = 5, 1000
"""From that many photos on the thresholds are tested from several starts, each at its share of the doubt."""
GROWTH = 1.02
POINTS = 50


@dataclass(frozen=True)
class Point:
    """Answering the surest `coverage` of the photos, those from `confidence` on, errs on the share `risk` of them."""

    coverage: float
    risk: float
    confidence: float


@dataclass(frozen=True)
class Floor:
    """Answers from `confidence` on err on fewer than `max_error`, with 95 % confidence.

    It was found on `photos` photos, of which `accepted` are that sure; `errors` of these were wrong, so that the share
    is at most `bound` (one-sided Clopper-Pearson at the level of the test that was passed).
    """

    max_error: float
    confidence: float
    photos: int
    accepted: int
    errors: int
    bound: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, as a model's card holds them; `Floor.from_json` is the way back."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Floor:
        """The floor from its JSON value. Raises `ValueError`, `TypeError` or `LookupError` where it is damaged."""
        max_error, confidence, bound = (float(value[key]) for key in ("max_error", "confidence", "bound"))
        photos, accepted, errors = (int(value[key]) for key in ("photos", "accepted", "errors"))
        floor = Floor(max_error, confidence, photos, accepted, errors, bound)
        if not (0 < floor.max_error < 1 and 0 <= floor.confidence <= 1):
            raise ValueError("a threshold out of range")
        return floor


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Point, ...]:
    """Confidences (N,), and whether the answers are right (N,) → the risk at up to 50 coverages, rising to 1.

    The curve of arXiv:1705.08500.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~right[order])
    counts = np.unique(np.linspace(1, len(order), min(POINTS, len(order))).round().astype(int))
    return tuple(
        Point(int(m) / len(order), int(wrong[m - 1]) / int(m), float(confidence[order[m - 1]])) for m in counts
    )


def fewest_accepted(max_error: float, doubt: float = DOUBT) -> int:
    """How many answers without an error it takes to promise fewer than `max_error`: 149 for 0.02."""
    return ceil(log(doubt) / log(1 - max_error))


def choose_floor(confidence: NDArray[np.float64], right: NDArray[np.bool_], max_error: float) -> Floor | None:
    """The lowest confidence that keeps errors below `max_error` with 95 % confidence, or None: there is none.

    (N,) confidences of photos that the model never learned from, (N,) whether the answers were right. The surest m
    photos are tested for growing m, each time by the exact binomial p of so few errors among them, until a test fails:
    a fixed sequence (arXiv:2110.01052) keeps the whole at the level of one test, provided that errors do not become
    rarer as confidence falls. One early error would end a sequence, so from 1000 photos on there are five with other
    starts, each at a fifth of the doubt.
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    found = 0
    starts = STARTS if len(order) >= MANY else 1
    doubt = DOUBT / starts
    least = fewest_accepted(max_error, doubt)
    if least > len(order):
        return None
    for first in np.geomspace(least, len(order), starts + 1)[:-1] if starts > 1 else [least]:
        for m in _growing(ceil(first), sure):
            if at_most(int(wrong[m - 1]), m, max_error) > doubt:
                break
            found = max(found, m)
    if not found:
        return None
    return Floor(
        max_error,
        float(sure[found - 1]),
        len(order),
        found,
        int(wrong[found - 1]),
        upper_bound(int(wrong[found - 1]), found, 1 - doubt),
    )


def _growing(m: int, falling: NDArray[np.float64]) -> Iterator[int]:
    """How many photos are accepted, from about m up to all; those that are equally sure come together."""
    while m <= len(falling):
        m = int(np.searchsorted(-falling, -falling[m - 1], side="right"))
        yield m
        m = max(m + 1, min(int(m * GROWTH), len(falling)))
