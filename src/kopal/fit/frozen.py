"""Frozen features and a head: the way to learn from few photos in seconds, for the linear model on raw pixels too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from kopal.arrays import Floats
from kopal.features import Backbone, Photos, small_pixels
from kopal.fit.fitted import Contender, Fitted
from kopal.fit.probe import choose, cross_fit, make_folds
from kopal.images import Geometry
from kopal.nets.fold import Weights
from kopal.nets.layers import Linear
from kopal.nets.linear import linear
from kopal.nets.net import Net
from kopal.recipes import Recipe

PIXELS_LIMIT = 64_000_000
"""Numbers in a pixel matrix (N x D) above which the model on raw pixels does not compete: 256 MB as float32."""


def fit(
    recipe: Recipe, photos: Photos, backbone: Backbone, progress: Callable[[int, int], None] = lambda done, of: None
) -> Fitted:
    """Learn from the train part of the photos; photos of other parts are scored, never learned from."""
    train = photos.where("train")
    labels, classes = photos.labels[train], len(photos.classes)
    fold = make_folds(labels, photos.groups[train], recipe)
    kinds = feature_kinds(photos, backbone)
    total = len(kinds) * (int(fold.max()) + 1) + 1
    done = count(1)

    def step() -> None:
        progress(next(done), total)

    candidates = []
    for kind in kinds:
        own = kind.features if train.all() else kind.features[train]
        candidates.append(cross_fit(kind.name, own, labels, classes, fold, recipe, step))
    chosen = choose(candidates, labels, classes, fold, recipe)
    step()
    kind, head = kinds[chosen.index], chosen.head
    scores = np.empty((len(photos), classes), np.float32)
    scores[train] = chosen.scores
    scores[~train] = head.scores(kind.features[~train])
    contenders = zip(candidates, chosen.accuracies, chosen.losses, strict=True)
    named = tuple(Contender(candidate.name, accuracy, loss) for candidate, accuracy, loss in contenders)
    weights = {**kind.weights, "head.weight": head.weight, "head.bias": head.bias}
    net, seen = kind.net.then("head", Linear(classes)), np.asarray(kind.features, np.float32)
    return Fitted(net, weights, kind.geometry, scores, chosen.penalty, named, features=seen)


@dataclass(frozen=True)
class FeatureKind:
    """Features (N, D), and the net, without a head, whose weights make them of pixels."""

    name: str
    features: Floats
    net: Net
    weights: Weights
    geometry: Geometry


def feature_kinds(photos: Photos, backbone: Backbone) -> list[FeatureKind]:
    """The kinds of features to compare: the backbone's, and raw pixels where all photos are small."""
    kinds = [FeatureKind(backbone.net.name, photos.features, backbone.net, backbone.weights, backbone.geometry)]
    small = small_pixels(photos)
    if small is None or small[0].size > PIXELS_LIMIT:
        return kinds
    pixels, geometry = small
    # What the net's own first layers do: planes, -1..1, flat.
    flat = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1).astype(np.float32)
    flat /= 127.5
    flat -= 1
    net = linear(len(photos.classes), geometry.shape).without_head()
    return [*kinds, FeatureKind("linear on pixels", flat, net, {}, geometry)]
