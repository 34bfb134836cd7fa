"""Labels that are likely wrong, and photos that are like no others: what out-of-fold answers and features give away.

Confident learning (arXiv:1911.00068): a class's threshold is the mean probability of that class over the photos that
bear its name. A photo that reaches the threshold of another class, and is better there than at its own label, is
counted as that class: the table of these counts, the confident joint, says how many labels are wrong and between which
classes. Each threshold being the class's own, rare and hard classes are neither accused nor spared.

Nothing here removes anything: what comes out is a list to review, the most likely first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Floats, Labels, Probabilities
from kopal.errors import DataError

Others: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Cosines and rows (N, k) of the photos nearest to each, as `nearest_others` finds them."""
NEAREST = 10
"""Neighbours that are asked for their labels, and the last of which says how far a photo is from others."""
BLOCK = 512
MOST_COMPARED = 20_000
"""Photos that each photo is compared with; of larger sets every so manieth is asked."""
FENCE = 3.0
"""Deviations (1.4826 times the median one, as for normal numbers) above the median from which a photo is an outlier."""


@dataclass(frozen=True)
class WrongLabel:
    """A photo by its row whose label may be wrong: classes by their numbers, `margin` 0..1, and why in a sentence.

    `confident` ones are those that the confident joint counts as wrong; the others only look more like another class.
    """

    place: int
    given: int
    suggested: int
    margin: float
    confident: bool
    why: str


@dataclass(frozen=True)
class Outlier:
    """A photo by its row that is far from all others: `times` as far from its neighbours as photos of this set are."""

    place: int
    times: float
    why: str


def wrong_labels(
    probabilities: Probabilities,
    labels: Labels,
    classes: Sequence[str],
    features: Features | None = None,
    groups: Sequence[Hashable] | None = None,
    others: Others | None = None,
) -> list[WrongLabel]:
    """Calibrated out-of-fold probabilities (N, K) and labels (N,) → the labels to review, most likely wrong first.

    With features (N, D) the labels of each photo's nearest others have half a say, which finds more
    (benchmarks/wrong_labels.py). `groups` (N,): photos of the same group, such as copies, do not vouch for each other.
    `others` are the features' `nearest_others` where they are known. Raises `DataError` where shapes do not fit.
    """
    _check(probabilities, labels, features, groups)
    if not len(labels):
        return []
    shares = np.asarray(probabilities, np.float64)
    votes = None
    if features is not None:
        votes = neighbour_votes(others or nearest_others(features, groups), labels, len(classes))
        shares = (shares + votes) / 2
    suggested, confident = _suggestions(shares, labels)
    rows = np.arange(len(labels))
    margin = shares[rows, suggested] - shares[rows, labels]
    found = np.flatnonzero(margin > 0)
    order = found[np.lexsort((found, -margin[found]))]
    return [
        WrongLabel(
            int(row),
            int(labels[row]),
            int(suggested[row]),
            float(margin[row]),
            bool(confident[row]),
            _why(
                classes,
                int(labels[row]),
                int(suggested[row]),
                probabilities[row],
                None if votes is None else votes[row],
            ),
        )
        for row in order
    ]


def confident_joint(probabilities: Floats, labels: Labels) -> NDArray[np.int64]:
    """Out-of-fold probabilities (N, K), labels (N,) → (K, K): photos that bear a row's name and count as a column's."""
    classes = probabilities.shape[1]
    table = np.zeros((classes, classes), np.int64)
    suggested, confident = _suggestions(np.asarray(probabilities, np.float64), labels)
    counted = np.where(confident, suggested, labels)
    np.add.at(table, (labels, counted), 1)
    return table


def outliers(
    features: Features, groups: Sequence[Hashable] | None = None, others: Others | None = None
) -> list[Outlier]:
    """Features (N, D) → the photos that lie apart, the farthest first: by the cosine distance to their nearest others.

    Of a set of at most NEAREST photos nothing can be said. Copies in the same group are no company.
    `others` are the features' `nearest_others` where they are known.
    """
    _check(None, None, features, groups)
    if len(features) <= NEAREST:
        return []
    near, _ = others or nearest_others(features, groups)
    # A photo with fewer others than that is as far as the last one that it has.
    far = 1 - np.where(np.isfinite(near), near, np.inf).min(axis=1)
    far = np.where(np.isfinite(far), far, 2.0)
    usual = float(np.median(far))
    deviation = 1.4826 * float(np.median(np.abs(far - usual)))
    found = np.flatnonzero(far > usual + FENCE * deviation)
    order = found[np.lexsort((found, -far[found]))]
    return [_outlier(int(row), float(far[row] / max(usual, 1e-6))) for row in order]


def neighbour_votes(others: Others, labels: Labels, classes: int) -> NDArray[np.float64]:
    """The nearest others of each photo, labels (N,) → the shares (N, K) of the classes among them."""
    near, places = others
    known = np.isfinite(near)
    votes = np.zeros((len(labels), classes))
    rows = np.repeat(np.arange(len(labels)), near.shape[1]).reshape(near.shape)
    np.add.at(votes, (rows[known], labels[places[known]]), 1)
    total = votes.sum(axis=1, keepdims=True)
    # A photo without any others knows nothing: every class is as likely.
    return np.asarray(np.divide(votes, total, out=np.full_like(votes, 1 / classes), where=total > 0))


def nearest_others(features: Features, groups: Sequence[Hashable] | None = None, count: int = NEAREST) -> Others:
    """Features (N, D) → cosines and rows (N, min(count, N)) of the nearest photos of other groups, in no order.

    The angle is taken from the mean, which all photos have in common. Where there are too few others the cosine is
    -inf. Of more than MOST_COMPARED photos evenly spaced ones are compared with.
    """
    centred = features - features.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.float32(1e-12))
    group = np.arange(len(features)) if groups is None else _numbered(groups)
    asked = np.unique(np.linspace(0, len(features) - 1, min(len(features), MOST_COMPARED)).astype(np.int64))
    others, count = unit[asked].T, min(count, len(asked))
    cosines = np.empty((len(features), count), np.float32)
    places = np.empty((len(features), count), np.int64)
    for start in range(0, len(features), BLOCK):
        own = slice(start, start + BLOCK)
        near = unit[own] @ others
        near[group[own, None] == group[asked]] = -np.inf
        best = np.argpartition(near, len(asked) - count, axis=1)[:, len(asked) - count :]
        cosines[own] = np.take_along_axis(near, best, axis=1)
        places[own] = asked[best]
    return cosines, places


def _suggestions(shares: NDArray[np.float64], labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The class that each photo looks most like, and whether that counts against its label.

    Of the classes whose threshold it reaches the most probable one, else simply the most probable one.
    """
    classes = shares.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, shares[np.arange(len(labels)), labels], classes)
    # A class that no photo bears has no threshold, and nothing reaches it.
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    reached = shares >= thresholds - 1e-12
    among = np.where(reached, shares, -1.0)
    some = reached.any(axis=1)
    suggested = np.where(some, among.argmax(axis=1), shares.argmax(axis=1))
    rows = np.arange(len(labels))
    return suggested, some & (shares[rows, suggested] > shares[rows, labels])


def _why(classes: Sequence[str], given: int, suggested: int, row: Floats, votes: NDArray[np.float64] | None) -> str:
    said = f"looks like {classes[suggested]} ({row[suggested]:.2f}) rather than {classes[given]} ({row[given]:.2f})"
    if votes is None:
        return said
    return (
        f"{said}; of the photos most like it {votes[suggested]:.0%} are {classes[suggested]}, "
        f"{votes[given]:.0%} {classes[given]}"
    )


def _outlier(place: int, times: float) -> Outlier:
    return Outlier(place, times, f"the photos most like it are {times:.1f} times as far away as is usual in this set")


def _numbered(groups: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(group, len(known)) for group in groups], np.int64)


def _check(
    probabilities: Floats | None, labels: Labels | None, features: Features | None, groups: Sequence[Hashable] | None
) -> None:
    sizes = {len(array) for array in (probabilities, labels, features, groups) if array is not None}
    if len(sizes) > 1:
        raise DataError(f"arrays of {sorted(sizes)} rows", "one row a photo in each")
    for array in (probabilities, features):
        if array is not None and (array.ndim != 2 or not np.isfinite(array).all()):
            raise DataError(f"numbers of shape {array.shape}, or not all finite", "finite ones, a row a photo")
    if probabilities is None or labels is None or not len(labels):
        return
    if int(labels.min()) < 0 or int(labels.max()) >= probabilities.shape[1]:
        raise DataError(f"labels from {labels.min()} to {labels.max()}", f"0 to {probabilities.shape[1] - 1}")
