"""What twins mean where they stand: across parts, across classes, or merely twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kopal.audit.finding import KEEP, LEAVE_OUT, REVIEW, Finding
from kopal.audit.twins import Twins
from kopal.datasets import Labelled
from kopal.errors import DataError

NAMED = 6
"""Photos of a crowd that are named."""


def twin_findings(photos: Labelled, twins: Twins) -> Iterator[Finding]:
    """A finding for each photo whose twin leaks, contradicts it, or stands before it."""
    alike = np.zeros(len(photos.digests), np.float32)
    for side in (0, 1):
        np.maximum.at(alike, twins.pairs[:, side], twins.alike)
    for members in groups_of_several(twins.groups):
        yield from _of_group(photos, members, alike)
    for crowd in twins.crowds:
        share = len(crowd) / len(photos.digests)
        yield Finding(
            "alike",
            "",
            tuple(photos.names[place] for place in crowd[:NAMED]),
            share,
            f"{len(crowd)} photos ({share:.0%}) hang together as if each were a copy of another: copies cannot be told "
            "from photos that are merely alike, so these may be separated in splits",
            KEEP,
        )


def _of_group(photos: Labelled, members: NDArray[np.int64], alike: NDArray[np.float32]) -> Iterator[Finding]:
    labels, parts = photos.labels[members], photos.parts[members]
    learned = members[parts == "train"]
    seen: set[bytes] = set()
    for position, (place, label, part) in enumerate(zip(members, labels, parts, strict=True)):
        again = photos.digests[place] in seen
        seen.add(photos.digests[place])
        name, score = photos.names[place], float(alike[place])
        if part != "train" and len(learned):
            why = f"it is in the {part} part, its twin is learned from: the accuracy flatters"
            yield Finding("leak", name, _names(photos, learned), score, why, LEAVE_OUT)
        if (labels != label).any():
            classes = sorted({photos.classes[other] for other in labels if other != label})
            why = f"it stands in {photos.classes[label]}, its twin in {', '.join(classes)}"
            yield Finding("label conflict", name, _names(photos, members[labels != label]), score, why, REVIEW)
        elif position and (part == "train" or not len(learned)):
            others = _names(photos, members[members != place])
            if again:
                yield Finding("duplicate", name, others, score, "the same file is there already", LEAVE_OUT)
            else:
                why = f"a copy of a photo that is there already (likeness {score:.2f}); they stay together in splits"
                yield Finding("near-duplicate", name, others, score, why, REVIEW)


def groups_of_several(groups: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The places of each group that has more than one photo, in order."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    for start, size in zip(starts, sizes, strict=True):
        if size > 1:
            yield order[start : start + size]


def check_different(photos: Labelled) -> None:
    """Raises `DataError` where a class of the train part has no two different photos to learn from and to test on."""
    contents: dict[int, set[bytes]] = defaultdict(set)
    for digest, label in zip(photos.digests, photos.labels, strict=True):
        contents[int(label)].add(digest)
    alike = [name for index, name in enumerate(photos.classes) if len(contents[index]) == 1]
    if alike:
        raise DataError(
            f"all photos of {', '.join(alike[:5])} are one and the same file",
            "at least two different photos in every class",
            "add photos or take the class out",
        )


def _names(photos: Labelled, places: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(photos.names[place] for place in places)
