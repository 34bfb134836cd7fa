"""Photos that are copies of one another: the same file, or resized, recompressed, cropped, mirrored, recoloured.

Features and a perceptual hash (the low frequencies of the thumbnail, and of its mirror image) propose pairs; pixels of
the thumbnails, laid over one another, confirm them. How alike is alike enough depends on the set: handwritten digits
look more alike than photos do. Where confirmed pairs still join a large part of the set, it is no copies that were
found; those pairs are reported and not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features
from kopal.audit.alignment import Planes, overlay, structure_alike
from kopal.audit.neighbours import directions, neighbours, unit
from kopal.looks import SIDE, Looks
from kopal.splits import linked

BY_FEATURES, BY_HASH = 8, 6
"""Neighbours of each photo that features, and the hash of the photo and of its mirror image, propose."""

FREQUENCIES = 5
"""The hash is made of 5 x 5 frequencies, without the mean: finer waves move away under a crop."""

PROMISING = 0.83
"""Correlation of coarse thumbnails below which a pair is not looked at closely."""
AT_ONCE, WORTH = 8192, 0.005
"""Pairs are looked at from the most promising down, so many at once, as long as this share of them are copies. Where
photos turn out to be merely alike, no more than half as many pairs as photos: there copies are the most promising.
"""

FAR = 0.1
"""How far from 1 the correlation of local structure of two copies may be (of ten cropped photos nine are nearer)."""
FALLING, NEAREST = 0.8, 0.005
CROWDED, FEW = 3, 3
"""Copies leave a gap. Where within twice the distance there are more than three times as many pairs, and three, photos
are merely alike, and copies must be nearer: the distance falls by fifths until there is a gap."""

EMPTY = 4.0
"""Grey levels of deviation below which there is nothing on a thumbnail to compare."""

LARGEST_SHARE, ALWAYS_USED = 0.05, 10
"""A group of copies may hold this share of the photos; up to ten always may."""


@dataclass(frozen=True)
class Twins:
    """Pairs of copies (P, 2), how alike they are (P,), and the group (N,) of each photo by the pairs that are used.

    `crowds` are the groups that are too large to be copies: their pairs are not among `pairs`, nor are they used.
    """

    pairs: NDArray[np.int64]
    alike: NDArray[np.float32]
    groups: NDArray[np.int64]
    crowds: tuple[NDArray[np.int64], ...]
    threshold: float


def find_twins(digests: Sequence[bytes], looks: Looks, features: Features | None = None) -> Twins:
    """The copies among photos (N): equal digests, and near-duplicates by features (N, D), hash and pixels."""
    first: dict[bytes, int] = {}
    same = np.array([first.setdefault(digest, place) for place, digest in enumerate(digests)], np.int64)
    thumbnails = looks["thumbnail"].reshape(-1, SIDE, SIDE)
    different = np.array(sorted(first.values()), np.int64)
    different = different[thumbnails[different].std(axis=(1, 2), dtype=np.float32) >= EMPTY]
    own = thumbnails[different].astype(np.float32)
    near, alike, threshold = near_duplicates(own, None if features is None else features[different])
    used, crowds = _without_crowds(near, len(own))
    again = np.flatnonzero(same != np.arange(len(same)))
    pairs = np.concatenate([np.stack([same[again], again], axis=1), different[near[used]]])
    likeness = np.concatenate([np.ones(len(again), np.float32), alike[used]])
    # Copies of a photo that has twins are twins of those as well: they are linked by the photo itself.
    groups = linked(len(same), pairs.tolist())
    return Twins(pairs, likeness, groups, tuple(different[crowd] for crowd in crowds), threshold)


def near_duplicates(
    thumbnails: Planes, features: Features | None
) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
    """Thumbnails (N, 32, 32) of different photos → pairs (P, 2) that are copies, how alike, and from where on."""
    laid = overlay(thumbnails, _candidates(thumbnails, features))
    best_first = np.argsort(-laid.alike, kind="stable")
    likely = laid.at(best_first[laid.alike[best_first] >= PROMISING])
    alike, threshold = np.empty(0, np.float32), 1 - FAR
    for start in range(0, len(likely.whole), AT_ONCE):
        found = structure_alike(thumbnails, likely.at(slice(start, start + AT_ONCE)))
        alike = np.concatenate([alike, found])
        threshold = _threshold(alike)
        if (found >= 1 - FAR).mean() < WORTH or (threshold > 1 - FAR and len(alike) > len(thumbnails) // 2):
            break
    copies = np.flatnonzero(alike >= threshold)
    pairs = np.sort(np.stack([likely.whole[copies], likely.part[copies]], axis=1), axis=1)
    return pairs, alike[copies], threshold


def _candidates(thumbnails: Planes, features: Features | None) -> NDArray[np.int64]:
    """Pairs (P, 2) of neighbours by features and by hash, each once, the lower row first."""
    if len(thumbnails) < 2:
        return np.empty((0, 2), np.int64)
    plain, mirrored = hashes(thumbnails)
    found = [_as_pairs(neighbours(plain, queries, BY_HASH + 1)) for queries in (plain, mirrored)]
    if features is not None:
        vectors = directions(features)
        found.append(_as_pairs(neighbours(vectors, vectors, BY_FEATURES + 1)))
    pairs = np.sort(np.concatenate(found), axis=1)
    pairs = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] < pairs[:, 1])]
    return np.unique(pairs, axis=0)


def _as_pairs(near: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = np.repeat(np.arange(len(near)), near.shape[1])
    return np.stack([rows, near.ravel()], axis=1)


def hashes(thumbnails: Planes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Thumbnails (N, 32, 32) → their perceptual hashes and those of their mirror images, unit vectors (N, 24).

    The low frequencies of the cosine transform, each at the scale that it has in the set. A hash of bits keeps their
    signs alone (Zauner 2010); kept as numbers they also find what was cropped.
    """
    along = (np.arange(SIDE) + 0.5) / SIDE
    waves = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * along).astype(np.float32)
    found = waves @ thumbnails @ waves.T
    spread = np.sqrt(np.mean(found * found, axis=0))
    plain = np.asarray(found / np.where(spread > 0, spread, 1), np.float32)
    # Seen in a mirror, every second wave along x is upside down.
    turned = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    first, second = (unit(waves.reshape(len(thumbnails), -1)[:, 1:]) for waves in (plain, plain * turned))
    return first, second


def _threshold(alike: NDArray[np.float32]) -> float:
    """Correlations (P,) of pairs → from where on two photos of this set are copies.

    In a family of photos that vary in m ways there are 2^m as many pairs within twice a distance; copies are alone.
    """
    distances = np.sort(1 - alike)
    far = FAR
    while far > NEAREST:
        within, twice = np.searchsorted(distances, (far, 2 * far), side="right")
        if twice <= CROWDED * within + FEW:
            break
        far *= FALLING
    return 1 - far


def _without_crowds(pairs: NDArray[np.int64], count: int) -> tuple[NDArray[np.bool_], list[NDArray[np.int64]]]:
    """Which pairs are used, and the groups of photos that are too large to be copies."""
    groups = linked(count, pairs.tolist())
    sizes = np.bincount(groups, minlength=count)
    large = np.flatnonzero(sizes > max(ALWAYS_USED, LARGEST_SHARE * count))
    used = ~np.isin(groups[pairs[:, 0]], large)
    return used, [np.flatnonzero(groups == group) for group in large]
