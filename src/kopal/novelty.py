"""How far a photo lies from those that were learned from: the cosine distance of features to the nearest of them.

Nearest neighbours of normalised features (arXiv:2204.06507), after those directions were shrunk in which photos of one
class differ from one another: differences of pose and background say little of whether a thing is known. How much they
are shrunk is Ledoit's and Wolf's compromise between the covariance within classes and a sphere, with `roundness` as its
share of the sphere; at 1 nothing is shrunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels

BLOCK = 1024
MOST_OF_NETS = 1000
"""References of a net that learned from pixels, which has to see them once more."""
TINY = 1e-12
DIRECTIONS = 64
"""Directions that may be shrunk: those in which classes spread most. The rest is taken to be a sphere."""
SPARE, ROUNDS = 8, 2
"""Directions more than wanted, and rounds, of the subspace iteration that finds them (arXiv:0909.4061)."""


@dataclass(frozen=True)
class Spread:
    """How photos differ within their classes: orthonormal `directions` (R, D), the variance along each (R,), and the
    mean variance along all D.
    """

    directions: Features
    variances: NDArray[np.float64]
    mean_variance: float

    def shrinkage(self, roundness: float) -> NDArray[np.float32]:
        """(R,): the share that is taken off along each direction, 0 to 1, so that the spread becomes rounder."""
        width, known = self.directions.shape[1], len(self.directions)
        left = (self.mean_variance * width - self.variances.sum()) / max(1, width - known)
        sphere = roundness * self.mean_variance
        rest = (1 - roundness) * max(left, 0.0) + sphere
        along = (1 - roundness) * self.variances + sphere
        return np.asarray(1 - np.sqrt(rest / np.maximum(along, max(rest, TINY))), np.float32)


@dataclass(frozen=True)
class Novelty:
    """References (M, D) as bytes, a length of 1 each when multiplied by their `scales` (M,), of which the `nearest`
    count; the mean (D,) that is taken off features; `directions` (R, D) along which `shrinkage` (R,) is.
    """

    mean: NDArray[np.float32]
    directions: Features
    shrinkage: NDArray[np.float32]
    references: NDArray[np.int8]
    scales: NDArray[np.float32]
    nearest: int

    def distances(
        self, features: Features, groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    ) -> NDArray[np.float32]:
        """Features (N, D) → 1 - the mean cosine with the nearest references, float32 (N,), between 0 and 2.

        With `groups` of the photos (N,) and of the references (M,), those of a photo's own group, itself among them,
        do not count: so far it would be from the references had it not been one.
        """
        towards = self.references.T.astype(np.float32)
        found = [np.empty(0, np.float32)]
        for start in range(0, len(features), BLOCK):
            some = slice(start, start + BLOCK)
            z = _unit(shrunk(features[some] - self.mean, self.directions, self.shrinkage))
            cosine = (z @ towards) * self.scales
            if groups is not None:
                # As far as can be: only where nearly all are of one group does this count at all.
                cosine[groups[0][some, None] == groups[1]] = -1
            best = np.partition(cosine, -self.nearest, axis=1)[:, -self.nearest :]
            found.append(np.asarray(1 - best.mean(axis=1), np.float32))
        return np.concatenate(found)


def fit_novelty(
    features: Features, mean: NDArray[np.float32], spread: Spread, roundness: float, nearest: int
) -> Novelty:
    """Reference features (M, D), the mean (D,) and spread of all → what measures distances to them.

    Bytes suffice: they are a quarter of the file, and change a cosine by less than a thousandth.
    """
    shrinkage, directions = spread.shrinkage(roundness), spread.directions
    if not shrinkage.any():
        directions, shrinkage = directions[:0], shrinkage[:0]
    unit = _unit(shrunk(features - mean, directions, shrinkage))
    steps = np.maximum(np.abs(unit).max(axis=1, keepdims=True), np.float32(TINY)) / 127
    references = np.round(unit / steps).astype(np.int8)
    lengths = np.linalg.norm(references.astype(np.float32), axis=1)
    scales = np.where(lengths > 0, 1 / np.maximum(lengths, 1), 0).astype(np.float32)
    return Novelty(mean, directions, shrinkage, references, scales, _reachable(nearest, len(features)))


def compare(
    features: Features,
    products: NDArray[np.float32],
    asked: NDArray[np.int64],
    known: NDArray[np.int64],
    spread: Spread,
    options: Sequence[tuple[float, int]],
) -> list[NDArray[np.float32]]:
    """Distances of the rows asked (Q,) to the known ones by each option (roundness, nearest).

    They are those of `fit_novelty` on the known rows, but for its bytes, in a fraction of the time: `products` (N, N)
    are the inner products of the features (N, D), and what an option changes of them has few directions.
    """
    mean = features[known].mean(axis=0)
    shift = features @ mean
    along = (features - mean) @ spread.directions.T
    inner = products[np.ix_(asked, known)] - shift[asked, None] - shift[known] + mean @ mean
    own = products.diagonal() - 2 * shift + mean @ mean
    kept = {nearest: _reachable(nearest, len(known)) for _, nearest in options}
    found: dict[float, NDArray[np.float32]] = {}
    for roundness in {roundness for roundness, _ in options}:
        shrinkage = spread.shrinkage(roundness)
        taken = shrinkage * (2 - shrinkage)
        lengths = np.sqrt(np.maximum(own - np.square(along) @ taken, np.float32(TINY)))
        cosine = (inner - (along[asked] * taken) @ along[known].T) / (lengths[asked, None] * lengths[known])
        most = max(kept.values())
        found[roundness] = -np.sort(-np.partition(cosine, -most, axis=1)[:, -most:], axis=1)
    return [np.asarray(1 - found[roundness][:, : kept[nearest]].mean(axis=1)) for roundness, nearest in options]


def spread_of(features: Features, labels: Labels, mean: NDArray[np.float32], seed: int) -> Spread:
    """Features (N, D), labels (N,) and the mean (D,) → the spread within classes, its main directions by iteration."""
    present, own = np.unique(labels, return_inverse=True)
    members = np.zeros((len(present), len(labels)), np.float32)
    members[own, np.arange(len(labels))] = 1
    means = (members @ features) / members.sum(axis=1, keepdims=True)
    within = features - means[own]
    width = features.shape[1]
    # Of few photos the directions would be those of single photos.
    wanted = min(DIRECTIONS, width, (len(labels) - len(present)) // 4)
    variance = float(np.einsum("nd,nd->", within, within, dtype=np.float64)) / (len(labels) * width)
    if wanted < 1 or variance <= 0:
        return Spread(np.empty((0, width), np.float32), np.empty(0), variance)
    start = np.random.default_rng(seed).normal(size=(width, min(wanted + SPARE, width))).astype(np.float32)
    basis = np.linalg.qr(start)[0]
    for _ in range(ROUNDS):
        basis = np.linalg.qr(within.T @ (within @ basis))[0]
    seen = (within @ basis).astype(np.float64)
    variances, turn = np.linalg.eigh(seen.T @ seen / len(labels))
    directions = (basis @ turn[:, ::-1][:, :wanted]).T.astype(np.float32)
    return Spread(np.ascontiguousarray(directions), np.maximum(variances[::-1][:wanted], 0), variance)


def shrunk(centred: Features, directions: Features, shrinkage: NDArray[np.float32]) -> Features:
    """Centred features (N, D) less a share of what they are along each direction."""
    if not len(directions):
        return centred
    return np.asarray(centred - ((centred @ directions.T) * shrinkage) @ directions)


def auroc(known: NDArray[np.float32], strange: NDArray[np.float32]) -> float:
    """The chance that something strange (M,) scores above something known (N,); ties count half. Mann and Whitney."""
    ordered = np.sort(known)
    below = np.searchsorted(ordered, strange, "left") + np.searchsorted(ordered, strange, "right")
    return float(below.mean() / (2 * len(known)))


def _reachable(nearest: int, references: int) -> int:
    """How many of so many count as the nearest: of few references all would be."""
    return max(1, min(nearest, references // 4))


def _unit(vectors: Features) -> Features:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(TINY)))
