"""The head that a recipe asks for; of all of them, the best one, with the table of what each is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import get_args

import numpy as np

from kopal.backends.onnx_backend import classifier_model
from kopal.features import Backbone, Photos
from kopal.fit import frozen
from kopal.fit.fitted import Fitted, HeadRow
from kopal.fit.heads.cross import choose, learn_head
from kopal.fit.heads.kinds import KINDS
from kopal.fit.probe import make_folds
from kopal.metrics import wilson
from kopal.recipes import HeadName, Recipe

ALL = "all"
NAMES: tuple[HeadName, ...] = tuple(name for name in get_args(HeadName) if name != ALL)


def learn(
    recipe: Recipe, photos: Photos, backbone: Backbone, progress: Callable[[int, int], None] = lambda done, of: None
) -> Fitted:
    """Learn the recipe's head from the train part of the photos. Raises `UsageError` for too many photos."""
    if recipe.head == ALL:
        return compare(recipe, photos, backbone, progress)
    if recipe.head in KINDS:
        return learn_head(KINDS[recipe.head], recipe, photos, backbone, progress)
    return frozen.fit(recipe, photos, backbone, progress)


def compare(recipe: Recipe, photos: Photos, backbone: Backbone, progress: Callable[[int, int], None]) -> Fitted:
    """Every head in turn → the one with the least calibrated log loss out of fold, and a row for each, best first.

    Heads that cannot take so many photos are left out, and named. The rows' accuracies are the owner's test part's,
    where there is one; the choice never looks at it. Of the train part, the winner's scores are honest: a photo's comes
    from the head that did best on the other folds.
    """
    train, test = photos.where("train"), photos.where("test")
    labels = photos.labels[train]
    most = {name: kind.most for name, kind in KINDS.items() if kind.most is not None and kind.most < len(labels)}
    left_out = tuple(
        f"{name}, which takes at most {limit} photos: these are {len(labels)}" for name, limit in most.items()
    )
    able = [name for name in NAMES if name not in most]
    found: list[Fitted] = []
    spent: list[float] = []
    for name in able:
        started = perf_counter()
        found.append(learn(replace(recipe, head=name), photos, backbone, progress))
        spent.append(perf_counter() - started)
    choice = choose(
        [fitted.scores[train] for fitted in found], labels, make_folds(labels, photos.groups[train], recipe)
    )
    shown = test if test.any() else train
    rows = []
    for fitted, seconds, loss in zip(found, spent, choice.losses, strict=True):
        right = int((fitted.scores[shown].argmax(axis=1) == photos.labels[shown]).sum())
        n = int(shown.sum())
        size = classifier_model(fitted.net, fitted.weights, 1.0, len(photos.classes)).ByteSize()
        rows.append(HeadRow(fitted.head, right / n, wilson(right, n), n, loss, seconds, size))
    best = found[choice.index]
    scores = np.array(best.scores)
    scores[train] = choice.scores
    rows.sort(key=lambda row: row.log_loss)
    return replace(best, scores=scores, heads=tuple(rows), left_out=left_out)
