"""The four formulas give the lecture's numbers, and no overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as array_of

from kopal.arrays import cross_entropy, log_softmax, one_hot, softmax
from kopal.errors import DataError

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)

scores = array_of(np.float64, st.tuples(st.integers(0, 5), st.integers(1, 6)), elements=st.floats(-1e6, 1e6))


def test_softmax_gives_the_lectures_numbers() -> None:
    assert softmax(np.array([[3.83, -0.21, 0.74]])).round(2).tolist() == [[0.94, 0.02, 0.04]]


def test_one_hot_of_five_classes_gives_the_lectures_rows() -> None:
    assert one_hot(np.array([2, 0, 4]), 5).tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert one_hot(np.array([], int), 5).shape == (0, 5)
    assert one_hot(np.array([0]), 1).dtype == np.float32


@EXAMPLES
@given(scores)
def test_probabilities_are_positive_sum_to_one_and_keep_the_order(values: np.ndarray) -> None:
    found = softmax(values)
    assert found.shape == values.shape
    assert (found >= 0).all()
    assert np.allclose(found.sum(axis=1), 1)
    assert all((np.diff(row[np.argsort(own)]) >= 0).all() for row, own in zip(found, values, strict=True))


@EXAMPLES
@given(scores, st.floats(-1e3, 1e3))
def test_adding_the_same_to_all_scores_changes_nothing(values: np.ndarray, shift: float) -> None:
    assert np.allclose(softmax(values + shift), softmax(values), atol=1e-8)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [89, 710, 1e30])
def test_large_scores_do_not_overflow(kind: type, size: float) -> None:
    values = np.array([[size, 0, -size], [-size, -size, -size]], kind)
    assert np.allclose(softmax(values), [[1, 0, 0], [1 / 3] * 3])
    assert np.isfinite(log_softmax(values)).all()
    assert softmax(values).dtype == kind


def test_a_class_that_is_ruled_out_gets_zero() -> None:
    values = np.array([[0.0, -np.inf, 0.0]])
    assert softmax(values).tolist() == [pytest.approx([0.5, 0, 0.5])]
    target = np.array([[0.5, 0.0, 0.5]])
    assert cross_entropy(log_softmax(values), target).tolist() == [pytest.approx(np.log(2))]


@EXAMPLES
@given(scores.filter(len), st.data())
def test_labels_and_their_one_hot_rows_lose_the_same(values: np.ndarray, data: st.DataObject) -> None:
    classes = values.shape[1]
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=len(values), max_size=len(values))))
    by_label = cross_entropy(log_softmax(values), labels)
    assert np.allclose(by_label, cross_entropy(log_softmax(values), one_hot(labels, classes)))
    assert (by_label >= 0).all()


def test_cross_entropy_of_the_lectures_cat() -> None:
    assert cross_entropy(log_softmax(np.array([[3.83, -0.21, 0.74]])), np.array([0]))[0] == pytest.approx(
        0.0612, abs=1e-3
    )


def test_mixed_labels_lose_at_least_their_entropy() -> None:
    target = np.array([[0.7, 0.3]])
    entropy = -(target * np.log(target)).sum()
    assert cross_entropy(np.log(target), target)[0] == pytest.approx(entropy)
    assert cross_entropy(np.log(np.array([[0.6, 0.4]])), target)[0] > entropy


@pytest.mark.parametrize("labels", [[-1], [5], [0, 7]])
def test_labels_out_of_range_are_an_error(labels: list[int]) -> None:
    with pytest.raises(DataError, match="0 to 4"):
        one_hot(np.array(labels), 5)


def test_softmax_of_no_classes_is_an_error() -> None:
    with pytest.raises(DataError):
        softmax(np.empty((3, 0)))
