"""What advice is read from, measured: all of it for `kopal advise`, what costs next to nothing for every training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kopal.advise import Advice, Costs, Measured, costs, tunes
from kopal.arrays import Features
from kopal.datasets import Dataset
from kopal.errors import DataError
from kopal.evaluate import Report
from kopal.features import Backbone, Head, Photos
from kopal.fit.fitted import Fitted
from kopal.fit.probe import choose, cross_fit, make_folds
from kopal.learning_curve import LearningCurve, measure
from kopal.log import Log, Progress
from kopal.metrics import wilson
from kopal.parallel import MAX_WORKERS, cores
from kopal.plan import fitting_seconds, net_seconds
from kopal.recipes import Recipe
from kopal.similarity import log_evidence, prominence
from kopal.ways import Circumstances, features_of

LOOKED_AT = 2000
"""Photos that are enough to say how familiar a set is."""


def consult(dataset: Dataset, recipe: Recipe, around: Circumstances, log: Log) -> Advice:
    """A labelled set → the whole advice, with the learning curve of a head on the recipe's frozen features."""
    backbone, photos, *_ = features_of(recipe, dataset, around, log)
    part = photos.where("train")
    features, labels, classes = photos.features[part], photos.labels[part], len(photos.classes)
    fold = make_folds(labels, photos.groups[part], recipe)
    tried = cross_fit(backbone.net.name, features, labels, classes, fold, recipe, lambda: None)
    chosen = choose([tried], labels, classes, fold, recipe)
    right = chosen.scores.argmax(axis=1) == labels
    curve: LearningCurve | None = None
    why = ""
    try:
        curve = measure(
            features,
            labels,
            classes,
            fold,
            chosen.penalty,
            right,
            balance=recipe.balance,
            tolerance=recipe.search_tolerance,
            seed=recipe.seed,
            step=lambda done, of: log(Progress("heads of the learning curve", done, of)),
        )
    except DataError as error:
        why = f"{error.happened}: {error.expected} are needed"
    seen = float((chosen.head.scores(features).argmax(axis=1) == labels).mean())
    evidence = log_evidence(features, labels, classes)
    measured = _measured(backbone.head, photos, float(right.mean()), wilson(int(right.sum()), len(right)), seen)
    spent = _costs(backbone, len(labels), fitting_seconds(dataset, backbone, recipe))
    return Advice(replace(measured, log_evidence=evidence), spent, curve, why, tunes(backbone.net))


def at_a_glance(fitted: Fitted, photos: Photos, report: Report) -> Advice:
    """A finished training on frozen features → its advice, without what would take seconds to measure."""
    backbone = fitted.backbone
    head = backbone.head if backbone else None
    measured = _measured(head, photos, report.accuracy, report.interval, _seen(fitted, photos))
    if backbone is None:
        return Advice(measured)
    advice = Advice(measured, tunes=tunes(backbone.net))
    # Only what is advised is worth the runs of the net that tell its price.
    return replace(advice, costs=_costs(backbone, measured.photos)) if advice.tune else advice


def _costs(backbone: Backbone, photos: int, fitting: float = 0.0) -> Costs:
    return costs(backbone.net, photos, net_seconds(backbone), min(cores(), MAX_WORKERS), fitting)


def _measured(
    head: Head | None, photos: Photos, accuracy: float, interval: tuple[float, float], seen: float | None
) -> Measured:
    part = photos.where("train")
    counts = np.bincount(photos.labels[part], minlength=len(photos.classes))
    return Measured(
        int(part.sum()),
        len(photos.classes),
        float(np.median(counts)),
        int(counts.min()),
        accuracy,
        interval,
        _familiar(head, photos.features[part]),
        seen,
        tiny=photos.small is not None,
    )


def _familiar(head: Head | None, features: Features) -> float | None:
    """The mean prominence of photos, evenly spaced among all; None where the net's own head is not at hand."""
    if head is None:
        return None
    rows = np.unique(np.linspace(0, len(features) - 1, LOOKED_AT).astype(int))
    return float(prominence(features[rows], *head).mean())


def _seen(fitted: Fitted, photos: Photos) -> float | None:
    """The head's accuracy on the photos that it learned from; None for a head that is no affine map of the features."""
    weight, bias = (fitted.weights.get(f"head.{name}") for name in ("weight", "bias"))
    if weight is None or bias is None or weight.shape[-1] != photos.features.shape[1]:
        return None
    part = photos.where("train")
    scores = photos.features[part] @ weight.T + bias
    return float((scores.argmax(axis=1) == photos.labels[part]).mean())
