"""Errors stay as rare as promised, in 95 of 100 trainings; where that cannot be promised, it is not."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest

from kopal.trust.selective import Floor, choose_floor, fewest_accepted, risk_coverage

Chooser = Callable[[np.ndarray, np.ndarray, float], Floor | None]


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Honest confidences: an answer of 0.97 is wrong three times in a hundred."""
    rng = np.random.default_rng(seed)
    confidence = 1 - 0.5 * rng.random(n) ** 3
    return confidence, rng.random(n) < confidence


def breaks(choose: Chooser, n: int, trainings: int, max_error: float = 0.02) -> float:
    """In which share of trainings the true share of errors from the chosen confidence on is above the promise."""
    everyone = np.sort(drawn(400_000, 10_000)[0])[::-1]
    risk = np.cumsum(1 - everyone) / np.arange(1, len(everyone) + 1)
    broken = 0
    for seed in range(trainings):
        floor = choose(*drawn(n, seed), max_error)
        broken += floor is not None and risk[np.searchsorted(-everyone, -floor.confidence) - 1] > max_error
    return broken / trainings


def greedy(confidence: np.ndarray, right: np.ndarray, max_error: float) -> Floor | None:
    """What one would do at first: the lowest confidence from which on errors were rare enough."""
    order = np.argsort(-confidence)
    rates = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(rates <= max_error)
    return Floor(max_error, float(confidence[order[good[-1]]]), len(order), 0, 0, 0.0) if len(good) else None


@pytest.mark.parametrize("n", [300, 1500])
def test_the_promise_is_broken_in_at_most_5_of_100_trainings_and_by_greed_more_often(n: int) -> None:
    most = 0.05 + 3 * sqrt(0.05 * 0.95 / 300)
    assert breaks(choose_floor, n, 300) <= most
    assert breaks(greedy, n, 300) > most


def test_a_large_set_with_few_errors_gets_most_of_its_answers() -> None:
    confidence, right = drawn(4000, 1)
    floor = choose_floor(confidence, right, 0.02)
    assert floor is not None
    # Errors are 2 % among the surest 54 %.
    assert 0.3 < floor.accepted / floor.photos < 0.54
    accepted = confidence >= floor.confidence
    assert (accepted.sum(), (accepted & ~right).sum()) == (floor.accepted, floor.errors)
    assert floor.errors / floor.accepted < floor.bound <= 0.02


def test_149_sure_answers_without_an_error_are_needed_for_2_percent() -> None:
    assert fewest_accepted(0.02) == 149
    confidence = np.linspace(1, 0.5, 149)
    right = np.ones(149, bool)
    floor = choose_floor(confidence, right, 0.02)
    assert floor is not None
    assert (floor.accepted, floor.confidence) == (149, 0.5)
    assert choose_floor(confidence[:-1], right[:-1], 0.02) is None
    right[40] = False
    assert choose_floor(confidence, right, 0.02) is None


def test_photos_that_are_equally_sure_are_accepted_together() -> None:
    confidence = np.concatenate([np.ones(300), np.full(40, 0.9)])
    right = np.ones(340, bool)
    right[[150, 200, 250]] = False
    assert choose_floor(confidence, right, 0.02) is None
    right[:] = True
    right[300:] = False
    floor = choose_floor(confidence, right, 0.02)
    assert floor is not None
    assert (floor.confidence, floor.accepted, floor.errors) == (1.0, 300, 0)


def test_one_early_error_does_not_end_it_on_a_large_set() -> None:
    confidence = np.linspace(1, 0.5, 3000)
    right = np.ones(3000, bool)
    right[20] = False
    floor = choose_floor(confidence, right, 0.02)
    assert floor is not None
    assert floor.accepted == 3000


def test_the_curve_rises_to_all_photos_and_their_errors() -> None:
    confidence, right = drawn(1000, 2)
    points = risk_coverage(confidence, right)
    assert len(points) == 50
    assert points[-1].coverage == 1
    assert points[-1].risk == pytest.approx((~right).mean())
    assert points[-1].confidence == confidence.min()
    middle = points[20]
    accepted = confidence >= middle.confidence
    assert middle.coverage == accepted.mean()
    assert middle.risk == (~right[accepted]).mean()
    assert [point.coverage for point in risk_coverage(confidence[:3], right[:3])] == pytest.approx([1 / 3, 2 / 3, 1])
