"""The temperature makes probabilities honest and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopal.arrays import softmax
from kopal.metrics import log_loss
from kopal.trust.calibrate import RANGE, fit_temperature

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)


def honest(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose softmax is the true distribution of the labels."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=2, size=(n, classes)).astype(np.float32)
    drawn = rng.random((n, 1)) < softmax(scores).cumsum(axis=1)
    return scores, drawn.argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_that_was_hidden_is_found(temperature: float, classes: int) -> None:
    scores, labels = honest(20_000, classes)
    assert fit_temperature(scores * np.float32(temperature), labels) == pytest.approx(temperature, rel=0.04)


@settings(EXAMPLES, max_examples=40)
@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 1000), st.floats(0.001, 1000))
def test_it_never_makes_things_worse_and_never_changes_an_answer(n: int, classes: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(n, classes)) * scale).astype(np.float32)
    labels = rng.integers(0, classes, n)
    found = fit_temperature(scores, labels)
    assert RANGE[0] * 0.999 <= found <= RANGE[1] * 1.001
    assert log_loss(scores, labels, found) <= log_loss(scores, labels)
    assert np.array_equal((scores / np.float32(found)).argmax(axis=1), scores.argmax(axis=1))
    assert found == float(np.float32(found))


def test_it_is_the_best_of_a_fine_grid() -> None:
    scores, labels = honest(500, 4, seed=3)
    found = log_loss(scores * 2, labels, fit_temperature(scores * 2, labels))
    best = min(log_loss(scores * 2, labels, beta) for beta in np.geomspace(*RANGE, 400))
    assert found <= best + 1e-4  # the targets are smoothed by 1 / 502


def test_without_photos_or_without_news_it_is_1() -> None:
    assert fit_temperature(np.empty((0, 3), np.float32), np.array([], int)) == 1.0
    assert fit_temperature(np.zeros((5, 3), np.float32), np.array([0, 1, 2, 0, 1])) == 1.0


def test_scores_that_are_always_right_or_always_wrong_stay_in_range() -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert fit_temperature(scores, scores.argmax(axis=1)) == pytest.approx(0.43, abs=0.1)  # smoothed by 1 / 6
    assert fit_temperature(scores, (scores.argmax(axis=1) + 1) % 3) == pytest.approx(RANGE[1], rel=1e-2)


@pytest.mark.parametrize("count", [10, 36, 1000])
def test_a_set_without_an_error_does_not_make_every_answer_certain(count: int) -> None:
    # Perfect held-out scores: the rule of succession still leaves a chance of 1 / (n + 2) that the next is wrong.
    labels = np.arange(count) % 3
    scores = (4 * np.eye(3)[labels] + np.random.default_rng(0).normal(0, 0.3, (count, 3))).astype(np.float32)
    temperature = fit_temperature(scores, labels)
    assert temperature > 2 * RANGE[0]
    doubt = 1 - softmax(scores / temperature).max(axis=1).mean()
    assert 0.3 / (count + 2) < doubt < 3 / (count + 2)
