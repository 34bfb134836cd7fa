"""Folds do not leak, leave nobody out, and look like the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopal.errors import DataError
from kopal.splits import folds, together

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)

photo = st.tuples(st.integers(0, 4), st.integers(0, 12))
sets = st.lists(photo, min_size=2, max_size=80)


@EXAMPLES
@given(sets, st.integers(2, 8), st.integers(0, 5))
def test_groups_are_never_split_and_no_fold_is_empty(photos: list[tuple[int, int]], count: int, seed: int) -> None:
    labels = np.array([label for label, _ in photos])
    groups = [group for _, group in photos]
    if len(set(groups)) < 2:
        with pytest.raises(DataError, match="one and the same"):
            folds(labels, groups, count, seed)
        return
    fold = folds(labels, groups, count, seed)
    assert fold.shape == labels.shape
    assert all(len(set(fold[[own == group for own in groups]])) == 1 for group in groups)
    assert sorted(set(fold)) == list(range(min(count, len(set(groups)))))
    assert np.array_equal(fold, folds(labels, groups, count, seed))


@EXAMPLES
@given(st.lists(st.integers(0, 4), min_size=2, max_size=120), st.integers(2, 8), st.integers(0, 5))
def test_every_class_is_spread_within_one_of_even(labels: list[int], count: int, seed: int) -> None:
    fold = folds(np.array(labels), range(len(labels)), count, seed)
    folds_made = int(fold.max()) + 1
    for label in set(labels):
        own = fold[np.array(labels) == label]
        spread = np.bincount(own, minlength=folds_made)
        assert spread.max() - spread.min() <= 1
    sizes = np.bincount(fold, minlength=folds_made)
    assert sizes.max() - sizes.min() <= len(set(labels))


def test_another_seed_deals_otherwise() -> None:
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(folds(labels, range(100), 5, 0), folds(labels, range(100), 5, 1))


def test_groups_may_be_anything_that_can_be_compared() -> None:
    fold = folds(np.array([0, 1, 0, 1, 0, 1]), [b"a", "a", (1, 2), None, b"a", 3.5], 3, 0)
    assert fold[0] == fold[4]
    assert set(fold) == {0, 1, 2}


def test_large_groups_leave_the_folds_near_even() -> None:
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    fold = folds(np.zeros(len(groups), int), groups.tolist(), 5, 0)
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 10


def test_no_photos_are_an_error() -> None:
    with pytest.raises(DataError):
        folds(np.array([], int), [], 5, 0)


@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 5))), min_size=1, max_size=30))
def test_photos_are_together_where_a_chain_of_things_in_common_joins_them(photos: list[tuple[int, int | None]]) -> None:
    content, owner = ([photo[kind] for photo in photos] for kind in (0, 1))
    near = np.array([[one[0] == two[0] or None is not one[1] == two[1] for two in photos] for one in photos])
    for _ in photos:  # the transitive closure, by squaring
        near = near @ near
    assert np.array_equal(together(content, owner), near.argmax(axis=1))
