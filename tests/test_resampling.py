"""The bootstrap of F1 agrees with drawing the photos themselves, and holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kopal.metrics import confusion, f1_interval, wilson
from kopal.trust.resampling import macro_f1, macro_f1_interval, resamples


def drawn(n: int, seed: int, classes: int = 4, right: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers, of which some are drawn at random; the last class is rare."""
    rng = np.random.default_rng(seed)
    shares = np.array([*[1.0] * (classes - 1), 0.3])
    truth = rng.choice(classes, n, p=shares / shares.sum())
    return truth, np.where(rng.random(n) < right, truth, rng.integers(0, classes, n))


def test_the_macro_f1_is_scikit_learns() -> None:
    truth, answers = drawn(200, 0)
    assert macro_f1(confusion(truth, answers, 4)) == pytest.approx(f1_score(truth, answers, average="macro"))


def test_a_class_without_photos_does_not_count() -> None:
    truth, answers = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert macro_f1(confusion(truth, answers, 3)) == pytest.approx((2 / 3 + 1) / 2)


def test_drawing_cells_is_drawing_photos() -> None:
    truth, answers = drawn(150, 1)
    rng = np.random.default_rng(0)
    tables = (confusion(truth[rows], answers[rows], 4) for rows in rng.integers(0, 150, (1000, 150)))
    slow = np.quantile([macro_f1(table) for table in tables], (0.025, 0.975))
    assert macro_f1_interval(confusion(truth, answers, 4)) == pytest.approx(tuple(slow), abs=0.012)


def test_the_intervals_hold_the_true_f1() -> None:
    everyone = confusion(*drawn(400_000, 99), 4)
    true = macro_f1(everyone)
    true_rare = 2 * everyone[3, 3] / (everyone[3].sum() + everyone[:, 3].sum())
    held, rare = [], []
    for seed in range(100):
        table = confusion(*drawn(300, seed), 4)
        low, high = macro_f1_interval(table, seed)
        held.append(low <= true <= high)
        hit = int(table[3, 3])
        low, high = f1_interval(hit, int(table[3].sum() + table[:, 3].sum()) - 2 * hit)
        rare.append(low <= true_rare <= high)
    assert np.mean(held) >= 0.88
    assert np.mean(rare) >= 0.88


def test_without_an_error_the_interval_still_leaves_a_doubt() -> None:
    table = np.diag([10, 10, 10])
    assert macro_f1_interval(table) == f1_interval(30, 0)
    low, high = f1_interval(8, 0)
    share = wilson(8, 8)[0]
    assert (low, high) == (2 * share / (1 + share), 1.0)
    assert f1_interval(0, 0) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_interval_and_large_sets_fewer_resamples() -> None:
    table = confusion(*drawn(300, 1), 4)
    assert macro_f1_interval(table, 7) == macro_f1_interval(table, 7)
    assert [resamples(n) for n in (1, 10_000, 20_000, 10**6)] == [1000, 1000, 500, 200]
