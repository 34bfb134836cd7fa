"""Folds that do not leak: photos of one group never stand on two sides, and every fold looks like the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels
from kopal.errors import DataError


def folds(labels: Labels, groups: Sequence[Hashable], count: int, seed: int) -> NDArray[np.int64]:
    """The fold 0..count-1 of each photo: grouped, stratified by label, the same for the same seed.

    Groups are dealt in random order, larger ones first, each to the fold that has the fewest of its labels. With
    fewer groups than `count` there are as many folds as groups. Raises `DataError` for a single group.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    count = min(count, len(members))
    if count < 2:
        raise DataError("all photos are one and the same", "at least two different photos")
    dealt = list(members.values())
    np.random.default_rng(seed).shuffle(dealt)
    dealt.sort(key=len, reverse=True)
    classes = int(labels.max()) + 1
    held = np.zeros((count, classes), np.int64)
    fold = np.empty(len(labels), np.int64)
    for indices in dealt:
        own = np.bincount(labels[indices], minlength=classes)
        crowding = (held * own).sum(axis=1)
        chosen = np.lexsort((held.sum(axis=1), crowding))[0]
        held[chosen] += own
        fold[indices] = chosen
    return fold
