"""Nearest neighbours within cells: exact where few, rarely wrong and never n² where many."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from kopal.audit import neighbours as room
from kopal.audit.neighbours import AXES, directions, neighbours, unit


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dimension))
    return unit((centres[rng.integers(0, 20, count)] + rng.standard_normal((count, dimension))).astype(np.float32))


def test_few_are_compared_exactly_as_scikit_learn_does() -> None:
    vectors = clustered(400, 24)
    oracle = NearestNeighbors(n_neighbors=7, metric="cosine", algorithm="brute").fit(vectors)
    assert np.array_equal(neighbours(vectors, vectors, 7), oracle.kneighbors(vectors)[1])


def test_more_than_there_are_gives_all() -> None:
    vectors = clustered(3, 5)
    assert np.sort(neighbours(vectors, vectors, 9), axis=1).tolist() == [[0, 1, 2]] * 3


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_within_cells_the_near_ones_are_found(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT", 100)
    vectors = clustered(4000, 32)
    rng = np.random.default_rng(1)
    copies = unit(vectors[:500] + noise * rng.standard_normal((500, 32)).astype(np.float32) / np.sqrt(32))
    everything = np.concatenate([vectors, copies])
    near = neighbours(everything, everything, 4)
    found = (near[4000:] == np.arange(500)[:, None]).any(axis=1)
    assert found.mean() >= 0.97
    assert (near[:, 0] == np.arange(4500)).mean() > 0.999


def test_a_cell_never_grows_whatever_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT", 100)
    same = np.ones((2500, 4), np.float32) / 2
    listed = room._listed(room._cells(same, unit(np.ones((100, 4), np.float32))), 100)
    assert sorted(np.concatenate(listed).tolist()) == list(range(2500))
    assert max(map(len, listed)) <= 2 * 2500 // 100 + 1
    assert neighbours(same, same, 3).shape == (2500, 3)


def test_directions_keep_the_axes_that_vary_most() -> None:
    rng = np.random.default_rng(0)
    strengths = np.concatenate([np.linspace(9, 3, AXES), np.full(60, 0.05)])
    features = (rng.standard_normal((900, AXES + 60)) * strengths + 7).astype(np.float32)
    found = directions(features)
    wanted = unit(PCA(AXES, svd_solver="full").fit_transform(features.astype(float)).astype(np.float32))
    assert np.abs(found @ found.T - wanted @ wanted.T).max() < 0.01
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_same_vectors_give_the_same_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT", 100)
    vectors = clustered(1500, 16)
    assert np.array_equal(neighbours(vectors, vectors, 5), neighbours(vectors, vectors, 5))
