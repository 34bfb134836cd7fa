"""The numbers in a report are the textbook's."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from kopal.errors import DataError
from kopal.metrics import confusion, log_loss, per_class, wilson

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # R's prop.test(correct = FALSE), to four digits
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (950, 1000, 0.9347, 0.9619),
    ],
)
def test_the_wilson_interval_is_the_published_one(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=6e-5)


@EXAMPLES
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_lies_in_0_to_1_around_the_share_and_is_symmetric(case: tuple[int, int]) -> None:
    right, n = case
    low, high = wilson(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1
    assert low < high
    assert (1 - high, 1 - low) == pytest.approx(wilson(n - right, n))


def test_nothing_measured_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("share", "n"), [(0.5, 20), (0.9, 50), (0.98, 200)])
def test_the_interval_holds_the_truth_as_often_as_it_promises(share: float, n: int) -> None:
    drawn = np.random.default_rng(0).binomial(n, share, 4000)
    held = np.mean([low <= share <= high for low, high in (wilson(int(right), n) for right in drawn)])
    assert 0.92 <= held <= 0.985


pairs_of_labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@EXAMPLES
@given(pairs_of_labels)
def test_the_table_and_its_shares_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    table = confusion(truth, predicted, 4)
    assert np.array_equal(table, metrics.confusion_matrix(truth, predicted, labels=range(4)))
    theirs = metrics.precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=0)
    for row, precision, recall, f1, n in zip(per_class(table, tuple("abcd")), *theirs, strict=True):
        assert (row.precision, row.recall, row.f1, row.n) == pytest.approx((precision, recall, f1, n))


def test_a_table_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match="one row per class"):
        per_class(np.zeros((2, 2), int), ("a", "b", "c"))


def test_log_loss_of_guessing_is_ln_k_and_of_certainty_0() -> None:
    truth = np.array([0, 1, 2, 1])
    assert log_loss(np.zeros((4, 3), np.float32), truth) == pytest.approx(log(3))
    assert log_loss(1000 * np.eye(3, dtype=np.float32)[truth], truth) == 0
    assert log_loss(np.array([[2.0, 0.0]], np.float32), np.array([1]), 2.0) == pytest.approx(log(1 + np.e))
