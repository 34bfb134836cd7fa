"""A head on frozen features: every photo is used, and every photo is scored by a head that never saw it.

Out-of-fold scores of each penalty decide which penalty is best; the head that is kept is then fitted on all photos.
So that the choice does not flatter itself, the score of a photo in fold k comes from the penalty that did best on the
other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kopal.arrays import Features, Labels, Scores
from kopal.fit.logistic import Affine, fit_path, principal_axes
from kopal.metrics import log_loss, photo_weights
from kopal.parallel import cores, ordered
from kopal.recipes import Recipe
from kopal.splits import folds
from kopal.trust.calibrate import fit_temperature

FOLDS_AT_ONCE = 2
"""Each fold under way holds the features once more, turned."""


@dataclass(frozen=True)
class Candidate:
    """One kind of features with its out-of-fold scores (P, N, K) for each of P penalties.

    `axes` are those of all photos, where the folds are large enough to share them.
    """

    name: str
    features: Features
    axes: NDArray[np.float32] | None
    penalties: tuple[float, ...]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Chosen:
    """The winning candidate: its place in the list, its penalty, honest out-of-fold scores (N, K), the final head.

    `losses` gives each candidate's best out-of-fold log loss, `accuracies` the accuracy there.
    """

    index: int
    penalty: float
    scores: Scores
    head: Affine
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]


def cross_fit(
    name: str,
    features: Features,
    labels: Labels,
    classes: int,
    fold: NDArray[np.int64],
    recipe: Recipe,
    step: Callable[[], None],
) -> Candidate:
    """Scores for every photo, penalty by penalty, from heads fitted on the other folds; `step` is called after each."""
    scores = np.empty((len(recipe.penalties), len(labels), classes), np.float32)
    weights = photo_weights(labels, classes, recipe.balance)
    kept = len(labels) - int(np.bincount(fold).max())
    axes = principal_axes(features) if kept >= features.shape[1] else None

    def fit_without(held: int) -> tuple[NDArray[np.bool_], list[Affine]]:
        out = fold == held
        own = np.where(out, 0, weights)
        return out, fit_path(features, labels, own, classes, recipe.penalties, recipe.search_tolerance, axes)

    # A fold to a core. BLAS threads of their own would have them wait for one another, and for any other program.
    with threadpool_limits(1, user_api="blas"):
        for out, path in ordered(fit_without, range(int(fold.max()) + 1), min(cores(), FOLDS_AT_ONCE), ahead=1):
            for index, head in enumerate(path):
                scores[index, out] = head.scores(features[out])
            step()
    return Candidate(name, features, axes, recipe.penalties, scores)


def choose(
    candidates: Sequence[Candidate], labels: Labels, classes: int, fold: NDArray[np.int64], recipe: Recipe
) -> Chosen:
    """The candidate and penalty with the least calibrated log loss, and the head fitted on all photos."""
    everything = np.concatenate([candidate.scores for candidate in candidates])
    owner = [index for index, candidate in enumerate(candidates) for _ in candidate.penalties]
    losses = np.array([_calibrated_loss(scores, labels) for scores in everything])
    scores = np.empty_like(everything[0])
    for held in range(int(fold.max()) + 1):
        out = fold == held
        best = int(np.argmin([_calibrated_loss(option[~out], labels[~out]) for option in everything]))
        scores[out] = everything[best, out]
    best = int(losses.argmin())
    winner = candidates[owner[best]]
    # Started from the strongest penalty down, as in the search, so that the optimum is approached the same way.
    down_to = winner.penalties[: best - owner.index(owner[best]) + 1]
    weights = photo_weights(labels, classes, recipe.balance)
    head = fit_path(winner.features, labels, weights, classes, down_to, recipe.final_tolerance, winner.axes)[-1]
    own = [[place for place, index in enumerate(owner) if index == which] for which in range(len(candidates))]
    leaders = [min(places, key=lambda place: losses[place]) for places in own]
    return Chosen(
        owner[best],
        down_to[-1],
        scores,
        head,
        tuple(float(losses[place]) for place in leaders),
        tuple(float((everything[place].argmax(axis=1) == labels).mean()) for place in leaders),
    )


def make_folds(labels: Labels, groups: Iterable[Hashable], recipe: Recipe) -> NDArray[np.int64]:
    """The fold of each photo: photos of one group never on two sides."""
    return folds(labels, groups, recipe.folds, recipe.seed)


def _calibrated_loss(scores: Scores, labels: Labels) -> float:
    return log_loss(scores, labels, fit_temperature(scores, labels))
