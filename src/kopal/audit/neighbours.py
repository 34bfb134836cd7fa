"""Nearest neighbours of many vectors in less than n² steps: each is compared within a few cells, of many.

Cells are made by k-means on a sample (an inverted file, arXiv:1702.08734). With 2 √n cells, none larger than √n
rows, and four cells looked into for each query, the work grows with n √n. Up to `EXACT` rows all are compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Floats

EXACT = 6144
LOOKED_INTO = 4
AXES = 96
SAMPLE = 4096
ROUNDS = 6
BLOCK = 1024


def directions(features: Floats, seed: int = 0) -> NDArray[np.float32]:
    """Features (N, D) → unit vectors (N, min(D, 96)): without their mean, along the axes in which they vary most.

    A row that is the mean itself has no direction and stays zero.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(features), min(SAMPLE, len(features)), replace=False))
    sample = features[rows].astype(np.float32)
    mean = sample.mean(axis=0)
    axes = _axes(sample - mean, rng) if features.shape[1] > AXES else None
    found = np.empty((len(features), features.shape[1] if axes is None else axes.shape[1]), np.float32)
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK] - mean
        found[start : start + BLOCK] = block if axes is None else block @ axes
    return unit(found)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (N, D) at length 1; those of zeros stay so."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def _axes(sample: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The leading principal axes (D, AXES) of centred rows, by a randomised range finder (arXiv:0909.4061)."""
    sketch = rng.standard_normal((sample.shape[1], AXES + 8)).astype(np.float32)
    for _ in range(2):
        sketch = np.linalg.qr(sample.T @ (sample @ sketch))[0]
    _, _, turn = np.linalg.svd(sample @ sketch, full_matrices=False)
    return np.asarray(sketch @ turn[:AXES].T, np.float32)


def neighbours(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], count: int, seed: int = 0
) -> NDArray[np.int64]:
    """Unit vectors (N, D), queries (Q, D) → the rows of the nearest vectors (Q, min(count, N)), nearest first.

    -1 where a query's cells hold fewer. Above `EXACT` rows a neighbour may be missed, a near one rarely.
    """
    count = min(count, len(vectors))
    if len(vectors) <= EXACT:
        found = np.empty((len(queries), count), np.int64)
        for start in range(0, len(queries), BLOCK):
            found[start : start + BLOCK] = _best(queries[start : start + BLOCK] @ vectors.T, count)[0]
        return found
    centres = _centres(vectors, int(2 * np.sqrt(len(vectors))), seed)
    own = _cells(vectors, centres)
    asked = own if queries is vectors else _cells(queries, centres)
    return _search(vectors, queries, _listed(own, len(centres)), asked, count)


def _search(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    listed: list[NDArray[np.int64]],
    asked: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """A cell at a time: all queries that look into it against all rows that are listed there."""
    order = np.argsort(asked, axis=None, kind="stable")
    bounds = np.searchsorted(asked.ravel()[order], np.arange(len(listed) + 1))
    places = np.full((*asked.shape, count), -1, np.int64)
    cosines = np.full((*asked.shape, count), -np.inf, np.float32)
    for cell, members in enumerate(listed):
        visits = order[bounds[cell] : bounds[cell + 1]]
        for start in range(0, len(visits) if len(members) else 0, BLOCK):
            who, slot = np.divmod(visits[start : start + BLOCK], asked.shape[1])
            near, value = _best(queries[who] @ vectors[members].T, min(count, len(members)))
            places[who, slot, : near.shape[1]] = members[near]
            cosines[who, slot, : near.shape[1]] = value
    places, cosines = (array.reshape(len(queries), -1) for array in (places, cosines))
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(places, best, axis=1)


def _best(cosines: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cosines (Q, N) → the places of the `count` largest in each row and their values, largest first."""
    if count < cosines.shape[1]:
        places = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    else:
        places = np.broadcast_to(np.arange(cosines.shape[1]), cosines.shape)
    values = np.take_along_axis(cosines, places, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(values, order, axis=1)


def _centres(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors (C, D) in the middle of the cells: spherical k-means on a sample."""
    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), 24 * count), replace=False))]
    centres = sample[np.sort(rng.choice(len(sample), count, replace=False))]
    for _ in range(ROUNDS):
        own = _cells(sample, centres, 1)[:, 0]
        order = np.argsort(own, kind="stable")
        used, starts = np.unique(own[order], return_index=True)
        # A cell that has lost its rows keeps its place.
        centres = centres.copy()
        centres[used] = np.add.reduceat(sample[order], starts, axis=0)
        centres = unit(centres)
    return centres


def _cells(vectors: NDArray[np.float32], centres: NDArray[np.float32], count: int = LOOKED_INTO) -> NDArray[np.int64]:
    """The nearest cells (N, count) of each vector, nearest first."""
    found = np.empty((len(vectors), count), np.int64)
    for start in range(0, len(vectors), BLOCK):
        near = vectors[start : start + BLOCK] @ centres.T
        found[start : start + BLOCK] = near.argmax(axis=1)[:, None] if count == 1 else _best(near, count)[0]
    return found


def _listed(cells: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """The rows of each cell: every row once, in its nearest cell that has room, so that no cell makes the work n²."""
    room = np.full(count, 2 * len(cells) // count + 1)
    home = np.full(len(cells), -1)
    for rank in range(cells.shape[1]):
        waiting = np.flatnonzero(home < 0)
        wanted = cells[waiting, rank]
        order = np.argsort(wanted, kind="stable")
        _, starts, sizes = np.unique(wanted[order], return_index=True, return_counts=True)
        place = np.arange(len(order)) - np.repeat(starts, sizes)
        taken = order[place < room[wanted[order]]]
        home[waiting[taken]] = wanted[taken]
        room -= np.bincount(wanted[taken], minlength=count)
    waiting = np.flatnonzero(home < 0)
    home[waiting] = np.repeat(np.arange(count), room)[: len(waiting)]
    order = np.argsort(home, kind="stable")
    return np.split(order, np.searchsorted(home[order], np.arange(1, count)))
