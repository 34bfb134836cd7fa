"""Calibration in numbers: bins, Brier score and error by hand and by scikit-learn; intervals that hold the truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from kopal.arrays import softmax
from kopal.metrics import log_loss, wilson
from kopal.trust.calibrate import fit_temperature
from kopal.trust.reliability import Bin, bins, brier, calibration, confidences, debiased_ece, ece, ece_interval


def drawn(n: int, seed: int, overconfidence: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether answers are right: less often by `overconfidence`, which is the true error."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.4, 1, n)
    return confidence, rng.random(n) < confidence - overconfidence


def test_bins_hold_equally_many_photos_in_the_order_of_confidence() -> None:
    confidence, right = drawn(1000, 0)
    rows = bins(confidence, right)
    assert len(rows) == 15
    assert {row.n for row in rows} <= {66, 67}
    assert sum(row.right for row in rows) == right.sum()
    assert all(one.high <= two.low for one, two in pairwise(rows))
    inside = (confidence >= rows[3].low) & (confidence <= rows[3].high)
    assert rows[3].confidence == pytest.approx(confidence[inside].mean())
    assert rows[3].interval == wilson(rows[3].right, rows[3].n)
    assert [row.n for row in bins(confidence[:60], right[:60])] == [20, 20, 20]
    assert [row.n for row in bins(confidence[:4], right[:4])] == [4]


def test_the_error_is_the_mean_gap_by_hand() -> None:
    rows = [Bin(2, 0.6, 0.8, 0.7, 1), Bin(6, 0.9, 1.0, 0.95, 3)]
    assert ece(rows) == pytest.approx((2 * 0.2 + 6 * 0.45) / 8)


def test_the_brier_score_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(200, 2)))
    labels = rng.integers(0, 2, 200)
    # Theirs counts one of two classes.
    assert brier(probabilities, labels) == pytest.approx(2 * brier_score_loss(labels, probabilities[:, 1]))
    assert brier(np.eye(3)[[0, 1]], np.array([0, 2])) == 1.0


@pytest.mark.parametrize("n", [200, 2000])
def test_of_a_perfect_model_the_debiased_error_is_nearer_to_0(n: int) -> None:
    rows = [bins(*drawn(n, seed)) for seed in range(40)]
    assert np.mean([debiased_ece(row) for row in rows]) < 0.7 * np.mean([ece(row) for row in rows])


def test_a_large_error_is_hardly_changed_by_debiasing() -> None:
    rows = bins(*drawn(20_000, 0, 0.2))
    assert debiased_ece(rows) == pytest.approx(ece(rows), abs=0.002)
    assert ece(rows) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("true", "n"), [(0.0, 300), (0.1, 300), (0.1, 800), (0.3, 300)])
def test_the_interval_holds_the_true_error(true: float, n: int) -> None:
    held = []
    for seed in range(60):
        low, high = ece_interval(*drawn(n, seed, true), seed)
        assert 0 <= low <= high <= 1
        held.append(low <= true <= high)
    assert np.mean(held) >= 0.88  # 60 draws of at least 0.95, less 2.5 standard errors


def test_the_interval_can_miss() -> None:
    low, _ = ece_interval(*drawn(1500, 0, 0.3))
    assert low > 0.2
    _, high = ece_interval(*drawn(1500, 0))
    assert high < 0.1
    assert ece_interval(*drawn(100, 3), seed=5) == ece_interval(*drawn(100, 3), seed=5)


def test_numbers_before_and_after_the_temperature_are_those_of_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=2, size=(3000, 4)).astype(np.float32)
    labels = (rng.random((3000, 1)) < softmax(scores).cumsum(axis=1)).argmax(axis=1)
    sharp = scores * 3
    found = calibration(sharp, labels, fit_temperature(sharp, labels))
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.log_loss == log_loss(sharp, labels, found.temperature)
    assert found.before == pytest.approx(
        (log_loss(sharp, labels), brier(softmax(sharp), labels), ece(bins(*confidences(softmax(sharp), labels)))),
        rel=1e-5,
    )
    assert found.log_loss < found.before[0]
    assert found.brier < found.before[1]
    assert found.ece < found.before[2]
    assert found.interval[0] == 0


@pytest.mark.parametrize(("scale", "cost"), [(0.3, 0), (0.7, 0), (1.0, 0.005), (1.5, 0), (4.0, 0)])
def test_on_new_photos_the_temperature_does_not_make_the_log_loss_worse_in_19_of_20_seeds(
    scale: float, cost: float
) -> None:
    better = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = rng.normal(scale=2, size=(1200, 5)).astype(np.float32)
        labels = (rng.random((1200, 1)) < softmax(scores).cumsum(axis=1)).argmax(axis=1)
        scores *= np.float32(scale)
        found = fit_temperature(scores[:200], labels[:200])
        # Where nothing is wrong, the chance of 200 photos may cost a little.
        better += log_loss(scores[200:], labels[200:], found) <= log_loss(scores[200:], labels[200:]) + cost
    assert better >= 19


def test_one_photo_is_enough_to_be_counted() -> None:
    found = calibration(np.array([[2.0, 0.0]], np.float32), np.array([0]), 1.0)
    assert found.interval[0] == 0
    assert len(found.bins) == 1
