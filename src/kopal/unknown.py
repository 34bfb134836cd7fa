"""Photos of none of the classes: how features tell them, and from what distance on, chosen on the owner's own photos.

A new photo of the known kinds is called unknown in `FALSE_ALARMS` of cases, by a threshold from photos that did not
take part in what measures them: so far as photos to come are like those that are here, the promise holds (the rank is
conformal prediction's, (n + 1) · (1 - share), rounded up). How many strangers are told is not promised; it is estimated
by leaving out one class after the other (`auroc`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kopal.arrays import Features, Labels
from kopal.backends.onnx_backend import classifier_model
from kopal.backends.onnx_head import before_head, head_input
from kopal.datasets import Labelled
from kopal.errors import KopalError, UsageError
from kopal.fit.fitted import Fitted
from kopal.log import Log, Note, silent
from kopal.novelty import MOST_OF_NETS, Novelty, Spread, auroc, compare, fit_novelty, spread_of
from kopal.parallel import cores, ordered
from kopal.pixels import PixelPhotos
from kopal.runtime import run_session, session
from kopal.splits import folds

FALSE_ALARMS = 0.05
"""The share of photos of the known classes that are called unknown all the same."""
MOST_REFERENCES, MOST_BYTES = 5000, 4_000_000
"""References in a model file, and their bytes."""
MOST_MEASURED = 5000
"""Photos whose distances the threshold is read from: it then errs by a third of a per cent at the most, mostly."""
MOST_COMPARED, MOST_LEFT_OUT = 2000, 10
"""Photos, and classes that are left out in turn, by which one way of measuring is preferred to another."""
FEWEST_FOR_SPREAD = 200
"""Photos from which the spread within classes can be learned, by half of them."""
FOLDS = 5
AT_ONCE = 2
"""Folds under way, each of which holds the features once more."""
BATCH = 64
LEAST_LIMIT = 1e-3
"""A cosine distance that rounding makes: of equal photos none is to be unknown by it."""

Option = tuple[float, int]
OPTIONS: tuple[Option, ...] = tuple((roundness, nearest) for roundness in (1.0, 0.8, 0.3) for nearest in (5, 20))
"""(roundness, nearest) as in `novelty`, the plainest first."""


@dataclass(frozen=True)
class Unknown:
    """What measures distances, the `limit` above which a photo is unknown, and the name of the features in the graph.

    At the limit a share of `false_alarms` is promised, from `photos` photos. `auroc` is the chance that a photo of a
    class that was left out lies farther away than one of those that were there; None for nets that have learned all.
    `far` (N,) is the output for the photos themselves, each measured as a new one; NaN where it was not.
    """

    novelty: Novelty
    limit: float
    features: str
    roundness: float
    false_alarms: float
    photos: int
    auroc: float | None
    far: NDArray[np.float32]

    def in_words(self) -> str:
        """The method."""
        own = "" if self.roundness == 1 else f", the spread within classes made rounder ({self.roundness:g})"
        count = len(self.novelty.references)
        return f"cosine distance to the {self.novelty.nearest} nearest of {count} photos' features{own}"

    def as_json(self) -> dict[str, Any]:
        """The entry of the card's thresholds: the output is the distance over the limit, so its threshold is 1."""
        return {
            "threshold": 1.0,
            "false_alarms": self.false_alarms,
            "photos": self.photos,
            "method": f"{self.in_words()}; divided by {self.limit:.4g}",
            "auroc": self.auroc,
        }


def fit_unknown(fitted: Fitted, photos: Labelled, seed: int = 0, log: Log = silent) -> Unknown | None:
    """What tells that a photo is of none of the classes; None, with a note that says why, where nothing can.

    Frozen features: distances of the train part, each measured as if the photo and its copies were not among the
    references. A net that learned from pixels: from the calibration part to photos that it learned from.
    """
    model = classifier_model(fitted.net, fitted.weights, 1.0, len(photos.classes))
    train = np.flatnonzero(photos.where("train"))
    try:
        if fitted.features is not None:
            name = head_input(model.graph)
            own = photos.groups[train].tolist()
            found = of_features(fitted.features[train], photos.labels[train], own, name, seed)
            far = np.empty(len(photos.names), np.float32)
            far[train] = found.far
            # Photos of other parts were not learned from: they are new as they stand.
            others = ~photos.where("train")
            far[others] = found.novelty.distances(fitted.features[others]) / np.float32(found.limit)
            found = replace(found, far=far)
        else:
            assert isinstance(photos, PixelPhotos)
            found = _of_net(model, photos, train, seed)
    except KopalError as error:
        log(Note(f"the model will not tell unknown photos: {error.happened}"))
        return None
    log(found)
    return found


def of_features(
    features: Features, labels: Labels, groups: Sequence[Hashable], name: str = "features", seed: int = 0
) -> Unknown:
    """Features (N, D) of the photos learned from, labels and groups (N,) → the best way to measure, and its threshold.

    Raises `DataError` where all photos are of one group.
    """
    option, told = choose(features, labels, groups, seed)
    learns = asked = np.ones(len(labels), np.bool_)
    spread = Spread(np.empty((0, features.shape[1]), np.float32), np.empty(0), 0.0)
    if option[0] < 1:
        # A spread suits those best that it was learned from: distances of the other half are those of new photos.
        learns = folds(labels, groups, 2, seed) == 0
        asked = ~learns
        spread = spread_of(features[learns], labels[learns], features[learns].mean(axis=0), seed)
    mine = draw(labels, rows_for(features), seed)
    novelty = fit_novelty(features[mine], features[learns].mean(axis=0), spread, *option)
    measured = np.flatnonzero(asked)[draw(labels[asked], MOST_MEASURED, seed)]
    known: dict[Hashable, int] = {}
    group = np.array([known.setdefault(one, len(known)) for one in groups], np.int64)
    distances = novelty.distances(features[measured], (group[measured], group[mine]))
    limit, promised = limit_of(distances)
    far = np.full(len(labels), np.nan, np.float32)
    far[measured] = distances / limit
    return Unknown(novelty, limit, name, option[0], promised, len(distances), told, far)


def choose(
    features: Features, labels: Labels, groups: Sequence[Hashable], seed: int = 0
) -> tuple[Option, float | None]:
    """The option that best tells photos of a class that was left out from held-out photos of the others, by mean AUROC.

    None where no class leaves enough behind, with the plainest option.
    """
    options = OPTIONS if len(labels) >= FEWEST_FOR_SPREAD else [option for option in OPTIONS if option[0] == 1]
    some = draw(labels, MOST_COMPARED, seed)
    features, labels = features[some], labels[some]
    present = np.unique(labels)
    fold = folds(labels, [groups[index] for index in some], FOLDS, seed)
    dealt = np.random.default_rng(seed).permutation(present)[:MOST_LEFT_OUT]

    features = features - features.mean(axis=0)  # the products then say more in as many digits

    def without(number: int) -> list[float]:
        held, strange = fold == number % (int(fold.max()) + 1), labels == dealt[number]
        kept, known = np.flatnonzero(~strange & ~held), np.flatnonzero(~strange & held)
        if not len(kept) or not len(known):
            return []
        spread = spread_of(features[kept], labels[kept], features[kept].mean(axis=0), seed)
        asked = np.concatenate([known, np.flatnonzero(strange)])
        far = compare(features, products, asked, kept, spread, options)
        return [auroc(way[: len(known)], way[len(known) :]) for way in far]

    with threadpool_limits(1, user_api="blas"):
        products = features @ features.T
        found = [told for told in ordered(without, range(len(dealt)), min(cores(), AT_ONCE), ahead=1) if told]
    if not found:
        return OPTIONS[0], None
    means = np.mean(found, axis=0)
    best = int(means.argmax())
    return options[best], float(means[best])


def limit_of(distances: NDArray[np.float32], share: float = FALSE_ALARMS) -> tuple[float, float]:
    """Distances (N,) of photos like those to come → the limit that a share of such photos exceeds, and that share.

    Of too few photos for so small a share the largest distance, and what it can promise, 1 / (N + 1).
    """
    count = len(distances)
    rank = min(count, ceil((count + 1) * (1 - share)))
    return max(LEAST_LIMIT, float(np.sort(distances)[rank - 1])), max(share, 1 / (count + 1))


def rows_for(features: Features) -> int:
    """How many references of this width a file holds."""
    return min(MOST_REFERENCES, max(1, MOST_BYTES // int(features.shape[1])))


def draw(labels: Labels, most: int, seed: int) -> NDArray[np.int64]:
    """About `most` rows, of every class its share and at least one, drawn at random; in their order."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    drawn = []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        drawn.append(own[: max(1, len(own) * most // len(labels))])
    return np.sort(np.concatenate(drawn))


def _of_net(model: onnx.ModelProto, photos: PixelPhotos, train: NDArray[np.int64], seed: int) -> Unknown:
    name = head_input(model.graph)
    runner = session(before_head(model).SerializeToString())

    def features(rows: NDArray[np.int64]) -> Features:
        batches = (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))
        parts = ordered(lambda some: run_session(runner, photos.pixels[some], photos.geometry)[0], batches)
        return np.concatenate(list(parts))

    mine = train[draw(photos.labels[train], MOST_OF_NETS, seed)]
    learned, unseen = features(mine), features(np.flatnonzero(photos.where("calibration")))
    if learned.ndim != 2 or not np.isfinite(learned).all():
        raise UsageError(f"its last linear layer looks at numbers of shape {learned.shape[1:]}", "one vector a photo")
    few = draw(photos.labels[mine], rows_for(learned), seed)
    mean = learned.mean(axis=0)
    spread = spread_of(learned, photos.labels[mine], mean, seed)
    novelty = fit_novelty(learned[few], mean, spread, *OPTIONS[0])
    distances = novelty.distances(unseen)
    limit, promised = limit_of(distances)
    far = np.full(len(photos), np.nan, np.float32)
    far[photos.where("calibration")] = distances / limit
    return Unknown(novelty, limit, name, OPTIONS[0][0], promised, len(unseen), None, far)
