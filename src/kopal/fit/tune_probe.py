"""Where fine-tuning starts: a head fitted on the frozen features first (LP-FT, arXiv:2202.10054).

A random head would send gradients of no meaning down into good features; a fitted one has little left to complain of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features
from kopal.features import Backbone, Photos
from kopal.fit import frozen
from kopal.fit.fitted import Fitted
from kopal.log import Log, Progress
from kopal.parallel import chunks, ordered
from kopal.pixels import PixelPhotos
from kopal.recipes import Recipe
from kopal.store import Store

AT_ONCE = 8


def probe(
    recipe: Recipe, photos: PixelPhotos, rows: NDArray[np.int64], backbone: Backbone, store: Store | None, log: Log
) -> Fitted:
    """The backbone with a head fitted on the photos of `rows`, and on no other; features come from the store if known.

    Where the photos are small, raw pixels do not compete: there is nothing to fine-tune in them.
    """
    features = features_at(photos, rows, backbone, store, lambda done, of: log(Progress("photos", done, of)))
    own = Photos(
        photos.classes,
        tuple(photos.names[row] for row in rows),
        photos.labels[rows],
        np.full(len(rows), "train"),
        tuple(photos.digests[row] for row in rows),
        photos.groups[rows],
        features,
        None,
    )
    return frozen.fit(recipe, own, backbone, lambda done, of: log(Progress("steps of fitting", done, of)))


def features_at(
    photos: PixelPhotos,
    rows: NDArray[np.int64],
    backbone: Backbone,
    store: Store | None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Features:
    """What the frozen net makes of the photos of `rows`, (n, D); from the store where it is known, and kept there."""
    features = np.empty((len(rows), backbone.dimension), np.float32)

    def work(places: Sequence[int]) -> int:
        digests = [photos.digests[rows[place]] for place in places]
        known = store.get(digests) if store else {}
        missing = [place for place, digest in zip(places, digests, strict=True) if digest not in known]
        if missing:
            found = backbone.features(photos.pixels[rows[missing]])
            new = {photos.digests[rows[place]]: row for place, row in zip(missing, found, strict=True)}
            if store:
                store.put(new)
            known = {**known, **new}
        for place, digest in zip(places, digests, strict=True):
            features[place] = known[digest]
        return len(places)

    done = 0
    for some in ordered(work, chunks(range(len(rows)), AT_ONCE)):
        done += some
        progress(done, len(rows))
    return features
