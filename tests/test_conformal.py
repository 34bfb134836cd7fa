"""Sets hold the true class as often as promised: over splits, in every class, and as the band says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from kopal.arrays import softmax
from kopal.errors import UsageError
from kopal.trust import conformal
from kopal.trust.conformal import EVERY, LEVELS, Method, Sets, coverage_band, fewest, fit_sets, oddness, quantile, rank

EXAMPLES = settings(deadline=None, derandomize=True)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of digits that a modest model never saw, and what they are."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels / 16 + np.random.default_rng(0).normal(0, 0.35, pixels.shape)
    model = LogisticRegression(C=0.05, max_iter=500).fit(pixels[:300], labels[:300])
    return model.predict_proba(pixels[300:]), labels[300:]


def covered(sets: Sets, probabilities: np.ndarray, labels: np.ndarray, coverage: float) -> np.ndarray:
    return sets.members(probabilities, coverage)[np.arange(len(labels)), labels]


def mean_coverage_is_exact(chosen: Callable[[np.ndarray, float], float], splits: int = 300) -> bool:
    """Whether thresholds cover ⌈(n + 1) c⌉ / (n + 1) on average over random splits, within 3 standard errors."""
    probabilities, labels = digits()
    odd = oddness(probabilities, "lac")[np.arange(len(labels)), labels]
    rng, n, found = np.random.default_rng(1), 50, []
    for _ in range(splits):
        dealt = rng.permutation(odd)
        found.append(np.mean(dealt[n:] <= chosen(dealt[:n], 0.9)))
    return abs(np.mean(found) - ceil(51 * 0.9) / 51) <= 3 * np.std(found) / sqrt(splits)


def test_mean_coverage_is_exact_over_300_splits_and_without_the_plus_one_it_is_not() -> None:
    assert mean_coverage_is_exact(quantile)
    assert not mean_coverage_is_exact(lambda scores, coverage: np.sort(scores)[ceil(len(scores) * coverage) - 1])


@pytest.mark.parametrize("method", conformal.choices())
def test_every_method_covers_what_it_promised(method: Method) -> None:
    probabilities, labels = digits()
    rng, found = np.random.default_rng(2), []
    for _ in range(60):
        dealt = rng.permutation(len(labels))
        own, new = dealt[:500], dealt[500:]
        found.append(covered(fit_sets(probabilities[own], labels[own], method), probabilities[new], labels[new], 0.9))
    share = np.mean(found)
    assert share >= 0.9 - 3 * np.std([np.mean(row) for row in found]) / sqrt(60)
    # Ten thresholds on some fifty photos each are more careful than one.
    assert share <= {"lac": 0.907, "aps": 0.95, "by-class": 0.925}[method]


def test_by_class_keeps_the_promise_where_one_threshold_for_all_does_not() -> None:
    probabilities, labels = digits()
    rng, found = np.random.default_rng(3), {"lac": [], "by-class": []}
    for _ in range(150):
        dealt = rng.permutation(len(labels))
        own, new = dealt[:700], dealt[700:]
        for method, rows in found.items():
            hit = covered(fit_sets(probabilities[own], labels[own], method), probabilities[new], labels[new], 0.9)
            rows.append([hit[labels[new] == label].mean() for label in range(10)])
    least = {method: np.mean(rows, axis=0).min() for method, rows in found.items()}
    assert least["by-class"] >= 0.885  # 0.9 less three standard errors
    assert least["lac"] < 0.87


def test_the_band_holds_what_is_found_in_95_of_100_splits() -> None:
    probabilities, labels = digits()
    rng, inside, method = np.random.default_rng(4), [], "lac"
    for _ in range(300):
        dealt = rng.permutation(len(labels))
        own, new = dealt[:150], dealt[150:350]
        sets = fit_sets(probabilities[own], labels[own], method)
        low, high = coverage_band(sets, 0.9, labels[new])
        inside.append(low <= covered(sets, probabilities[new], labels[new], 0.9).mean() <= high)
    # Draws without replacement from one pool vary a little less than new photos would.
    assert 0.95 - 3 * sqrt(0.95 * 0.05 / 300) <= np.mean(inside) <= 1


def test_the_band_of_classes_is_the_sum_of_theirs() -> None:
    probabilities, labels = digits()
    sets = fit_sets(probabilities[:600], labels[:600], "by-class")
    low, high = coverage_band(sets, 0.9, labels[600:])
    assert low < 0.9 < high
    rng, total = np.random.default_rng(0), np.zeros(20_000)
    for label, n in enumerate(sets.photos):
        place = rank(n, 0.9)
        total += rng.binomial((labels[600:] == label).sum(), rng.beta(place, n + 1 - place, len(total)))
    m = len(labels[600:])
    assert (low, high) == pytest.approx(tuple(np.quantile(total / m, (0.025, 0.975))), abs=2 / m)


@pytest.mark.parametrize(("coverage", "photos"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1), (0.995, 199)])
def test_with_too_few_photos_the_set_is_full(coverage: float, photos: int) -> None:
    assert fewest(coverage) == photos
    scores = np.linspace(0.5, 0, photos)
    assert quantile(scores, coverage) == 0.5
    assert quantile(scores[:-1], coverage) == EVERY
    probabilities = softmax(np.random.default_rng(0).normal(size=(photos - 1, 4)))
    if photos > 1:
        sets = fit_sets(probabilities, np.zeros(photos - 1, int), "lac")
        assert sets.members(probabilities, coverage).all()
        assert sets.too_few(coverage) == photos - 1


def test_ranks_are_counted_in_exact_decimals() -> None:
    assert [rank(n, 0.9) for n in (9, 10, 19, 99)] == [9, 10, 18, 90]
    assert rank(99, 0.07) == 7  # 100 * 0.07 is 7.000000000000001 in float64


probability_rows = st.integers(2, 8).flatmap(
    lambda classes: st.lists(st.lists(st.floats(-30, 30), min_size=classes, max_size=classes), min_size=1, max_size=20)
)


@EXAMPLES
@given(probability_rows, st.sampled_from(conformal.choices()))
def test_sets_grow_with_the_promise_and_aps_is_never_empty(rows: list[list[float]], method: Method) -> None:
    probabilities = softmax(np.array(rows)).astype(np.float32)
    sets = fit_sets(probabilities, probabilities.argmin(axis=1), method, 0.93)
    before = np.zeros_like(probabilities, bool)
    for level in sets.levels:
        members = sets.members(probabilities, level)
        assert (members >= before).all()
        before = members
        if method == "aps":
            assert members.any(axis=1).all()
    again = Sets.from_json(sets.as_json(), probabilities.shape[1])
    assert again.as_json() == sets.as_json()
    np.testing.assert_array_equal(again.members(probabilities, 0.93), sets.members(probabilities, 0.93))


def test_aps_takes_classes_in_descending_order_until_the_mass_before_is_enough() -> None:
    assert oddness(np.array([[0.2, 0.5, 0.3]]), "aps")[0] == pytest.approx([0.8, 0, 0.5])
    assert oddness(np.array([[0.2, 0.5, 0.3]]), "lac")[0] == pytest.approx([0.8, 0.5, 0.7])


def test_a_promise_between_two_levels_takes_the_next_higher_and_above_all_is_an_error() -> None:
    probabilities, labels = digits()
    sets = fit_sets(probabilities, labels, "lac")
    assert sets.levels == LEVELS
    assert sets.level(0.905) == LEVELS.index(0.91)
    assert sets.level(0.9) == LEVELS.index(0.9)
    for coverage in (0.999, 1.0, 0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="coverage"):
            sets.level(coverage)
