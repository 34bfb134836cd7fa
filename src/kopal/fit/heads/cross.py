"""Heads by cross-fitting: every photo is scored by heads that never saw it, nor a byte-identical twin.

As for the softmax regression (`fit/probe.py`): the option with the least calibrated log loss out of fold is fitted on
all photos, and the score of a photo in fold k comes from the option that did best on the other folds, so that the
choice does not flatter itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kopal.arrays import Features, Labels, Scores
from kopal.errors import UsageError
from kopal.features import Backbone, Photos
from kopal.fit.fitted import Contender, Fitted
from kopal.fit.frozen import feature_kinds
from kopal.fit.heads.head import Head, HeadKind, Option, in_words
from kopal.fit.probe import FOLDS_AT_ONCE, make_folds
from kopal.metrics import log_loss, photo_weights
from kopal.nets.heads import FLOOR
from kopal.nets.layers import Linear
from kopal.parallel import cores, ordered
from kopal.recipes import Recipe
from kopal.trust.calibrate import fit_temperature

LINEAR = "linear"
"""The net that has nothing but a head on the pixels."""


@dataclass(frozen=True)
class Choice:
    """The best of several: its place, its honest out-of-fold scores (N, K), and the log loss of each."""

    index: int
    scores: Scores
    losses: tuple[float, ...]


def learn_head(
    kind: HeadKind, recipe: Recipe, photos: Photos, backbone: Backbone, progress: Callable[[int, int], None]
) -> Fitted:
    """Learn a head of one kind from the train part; photos of other parts are scored, never learned from.

    Raises `UsageError` for more photos than the kind can take.
    """
    train = photos.where("train")
    labels, classes = photos.labels[train], len(photos.classes)
    check_size(kind, len(labels))
    fold = make_folds(labels, photos.groups[train], recipe)
    weights = photo_weights(labels, classes, recipe.balance)
    options = kind.quick if recipe.effort == "quick" else kind.options
    features = feature_kinds(photos, backbone)
    total, done = len(features) * (int(fold.max()) + 1) + 1, count(1)
    everything: list[Scores] = []
    # A fold to a core, without BLAS threads of their own: see probe.
    with threadpool_limits(1, user_api="blas"):
        for source in features:
            own = source.features if train.all() else source.features[train]
            found = np.empty((len(options), len(labels), classes), np.float32)
            for out, held in _folds(kind, own, labels, weights, classes, fold, options, recipe.seed):
                found[:, out] = held
                progress(next(done), total)
            everything += list(found)
        choice = choose(everything, labels, fold)
        which, place = divmod(choice.index, len(options))
        chosen, option = features[which], options[place]
        [head] = kind.fit(chosen.features[train], labels, weights, classes, [option], recipe.seed)
    progress(next(done), total)
    scores = np.empty((len(photos), classes), np.float32)
    scores[train] = choice.scores
    scores[~train] = head.scores(chosen.features[~train])
    contenders = []
    for number, source in enumerate(features):
        leader = min(range(number * len(options), (number + 1) * len(options)), key=choice.losses.__getitem__)
        right = float((everything[leader].argmax(axis=1) == labels).mean())
        # Only a linear head makes a linear model of the pixels.
        contenders.append(Contender(source.name.replace(LINEAR, kind.name), right, choice.losses[leader]))
    net = chosen.net.then("head", head.layer())
    if net.name == LINEAR and not isinstance(head.layer(), Linear):
        net = replace(net, name=f"{kind.name} on pixels")
    return Fitted(
        net,
        {**chosen.weights, **{f"head.{name}": array for name, array in head.weights().items()}},
        chosen.geometry,
        scores,
        contenders=tuple(contenders),
        head=kind.name,
        option=in_words(option),
        holds=head.holds(),
        features=np.asarray(chosen.features, np.float32),
    )


def check_size(kind: HeadKind, photos: int) -> None:
    """Raises `UsageError` where a kind of head cannot learn from so many photos."""
    if kind.most is not None and photos > kind.most:
        raise UsageError(
            f"head {kind.name} on {photos} photos, each of which it compares with every other",
            f"at most {kind.most}",
            "say --head logistic or --head mlp",
        )


def choose(everything: Sequence[Scores], labels: Labels, fold: NDArray[np.int64]) -> Choice:
    """Out-of-fold scores (N, K) of each contender → the one with the least calibrated log loss, scored honestly.

    Scores of another contender are brought to the winner's temperature, so that one fits them all.
    """
    temperatures = [fit_temperature(scores, labels) for scores in everything]
    losses = [log_loss(scores, labels, heat) for scores, heat in zip(everything, temperatures, strict=True)]
    best = int(np.argmin(losses))
    honest = everything[best].copy()
    for held in range(int(fold.max()) + 1):
        out = fold == held
        others = [_calibrated_loss(scores[~out], labels[~out]) for scores in everything]
        leader = int(np.argmin(others))
        honest[out] = everything[leader][out] * np.float32(temperatures[best] / temperatures[leader])
    return Choice(best, honest, tuple(losses))


def _calibrated_loss(scores: Scores, labels: Labels) -> float:
    return log_loss(scores, labels, fit_temperature(scores, labels))


def _folds(
    kind: HeadKind,
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    fold: NDArray[np.int64],
    options: Sequence[Option],
    seed: int,
) -> Iterator[tuple[NDArray[np.bool_], list[Scores]]]:
    def without(held: int) -> tuple[NDArray[np.bool_], list[Scores]]:
        out = fold == held
        heads = fit_present(kind, features[~out], labels[~out], weights[~out], classes, options, seed)
        return out, [scores(features[out]) for scores in heads]

    return ordered(without, range(int(fold.max()) + 1), min(cores(), FOLDS_AT_ONCE), ahead=1)


def fit_present(
    kind: HeadKind,
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Callable[[Features], Scores]]:
    """What scores features (N, D) → (N, K), per option, also where photos of some class are all in the fold left out.

    A class that was never seen is as unlikely as the floor of a probability.
    """
    present, compact = np.unique(labels, return_inverse=True)
    heads: Sequence[Head | None] = [None] * len(options)
    if len(present) > 1:
        heads = kind.fit(features, compact.astype(np.int64), weights, len(present), options, seed)

    def widened(head: Head | None) -> Callable[[Features], Scores]:
        if head and len(present) == classes:
            return head.scores

        def scores(features: Features) -> Scores:
            known = head.scores(features) if head else np.zeros((len(features), 1), np.float32)
            wide = np.repeat(known.min(axis=1, keepdims=True) + np.float32(np.log(FLOOR)), classes, axis=1)
            wide[:, present] = known
            return wide

        return scores

    return [widened(head) for head in heads]
