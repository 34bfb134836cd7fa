"""Folds and parts that do not leak: a group never stands on two sides, and every side looks like the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels
from kopal.errors import DataError


def together(*alike: Sequence[Hashable]) -> NDArray[np.int64]:
    """What photos have in common, several things of N photos each → (N,): the group of each photo.

    Photos are of one group where they share any of these things, directly or by way of others; None is shared by
    nobody. A group's number is the place of its first photo.
    """
    pairs = []
    for things in alike:
        seen: dict[Hashable, int] = {}
        pairs += [(place, seen.setdefault(thing, place)) for place, thing in enumerate(things) if thing is not None]
    return linked(len(alike[0]), pairs)


def linked(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Pairs of `count` photos → (count,): the group of each, which is the place of the first that it is linked to."""
    group = list(range(count))

    def first(place: int) -> int:
        while group[place] != place:
            group[place] = group[group[place]]
            place = group[place]
        return place

    for pair in pairs:
        low, high = sorted(map(first, pair))
        group[high] = low
    return np.array([first(place) for place in range(count)], np.int64)


def folds(labels: Labels, groups: Iterable[Hashable], count: int, seed: int) -> NDArray[np.int64]:
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


def parts(
    labels: Labels, groups: Iterable[Hashable], shares: Sequence[float], seed: int, names: Sequence[str] = ()
) -> NDArray[np.int64]:
    """The part of each photo: 0 the rest, 1, 2, … of the given shares; grouped, and every class in every part.

    Rare classes choose first; of each class a part takes whole groups, in random order, until it has its share and at
    least one photo. Raises `DataError`, with the class's name, where it has too few for that.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    part = np.zeros(len(labels), np.int64)
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    for label in np.argsort(counts, kind="stable"):
        own = [indices for indices in members.values() if label in labels[indices]]
        rng.shuffle(own)
        free = [indices for indices in own if (part[indices] == 0).all()]
        for number, share in enumerate(shares, start=1):
            wanted = max(1, round(share * int(counts[label])))
            taken = int(((labels == label) & (part == number)).sum())
            while free and taken < wanted:
                indices = free.pop()
                part[indices] = number
                taken += int((labels[indices] == label).sum())
        present = set(part[labels == label].tolist())
        if counts[label] and present != set(range(len(shares) + 1)):
            raise DataError(
                f"class {names[label] if names else label} has {counts[label]} photos, {len(own)} different ones",
                f"at least {len(shares) + 1} different photos of every class, one for each part",
                "add photos, or train a head on frozen features, which needs fewer",
            )
    return part
