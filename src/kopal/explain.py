"""Why this answer: probabilities, where in the photo they come from, and the nearest photos learned from."""

from __future__ import annotations

import csv
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kopal import images
from kopal.arrays import Pixels
from kopal.attribution import Attribution, Attributor
from kopal.classifier import Classifier
from kopal.errors import UsageError
from kopal.extraction import ModelFeatures
from kopal.files import shown
from kopal.run import PHOTOS
from kopal.similar import nearest
from kopal.store import Store, cache_folder

NEAREST = 3


@dataclass(frozen=True)
class Learned:
    """A photo that the model has learned from, near the one that was asked about; 1 is the same direction."""

    path: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """An answer with its grounds.

    `pixels` (H, W, C) are what the model sees, `top` the best classes with their probabilities, `explained` the one
    that `attribution` speaks of. `near` are photos learned from, nearest first, of `compared`; where there are none,
    `note` says why.
    """

    path: str
    pixels: Pixels
    top: tuple[tuple[str, float], ...]
    explained: str
    attribution: Attribution
    near: tuple[Learned, ...]
    compared: int
    note: str = ""


def explain(
    classifier: Classifier, photo: str, label: str | None = None, run: Path | None = None, top: int = 5
) -> Explanation:
    """One photo's answer and its grounds, for the class named `label` or the one that wins; `run` is the run folder.

    Raises `UnreadableImage`, and `UsageError` for a class that the model lacks.
    """
    if label is not None and label not in classifier.classes:
        raise UsageError(
            f"the model has no class {shown(label)}", f"one of: {', '.join(map(shown, classifier.classes[:20]))}"
        )
    pixels = images.read(photo, classifier.geometry)
    probabilities = classifier.predict_proba(pixels[None])[0]
    order = np.argsort(-probabilities, kind="stable")[:top]
    ranked = tuple((classifier.classes[index], float(probabilities[index])) for index in order)
    explained = label if label is not None else classifier.predict(pixels[None])[0]
    attribution = Attributor(classifier).map(pixels, classifier.classes.index(explained))
    near, compared, note = _near(classifier, pixels, run)
    return Explanation(photo, pixels, ranked, explained, attribution, near, compared, note)


def _near(classifier: Classifier, pixels: Pixels, run: Path | None) -> tuple[tuple[Learned, ...], int, str]:
    """The nearest photos of the run's train part, by features that the cache still has."""
    again = "kopal similar PHOTOS photo.jpg --model model.onnx computes them"
    if run is None or not (run / PHOTOS).is_file():
        return (), 0, f"no nearest photos: {PHOTOS} of the run is not beside the model"
    try:
        extractor = ModelFeatures(classifier)
    except UsageError as error:
        return (), 0, f"no nearest photos: {error.happened}"
    rows = {bytes.fromhex(row["sha256"]): row for row in _rows(run / PHOTOS) if row["part"] == "train"}
    with closing(Store(cache_folder(), extractor.context)) as store:
        known = store.get(list(rows))
        fault = store.fault
    if not known:
        return (), 0, f"no nearest photos: {fault or f'their features are not in the cache; {again}'}"
    digests = list(known)
    asked = extractor.features(pixels[None])
    places, cosines = nearest(np.stack([known[digest] for digest in digests]), asked, NEAREST)
    found = [(rows[digests[place]], float(cosine)) for place, cosine in zip(places[0], cosines[0], strict=True)]
    return tuple(Learned(row["path"], row["class"], cosine) for row, cosine in found), len(known), ""


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        if rows and not {"path", "class", "part", "sha256"} <= rows[0].keys():
            raise ValueError("its columns are others")
        for row in rows:
            bytes.fromhex(row["sha256"])
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(
            f"{shown(file)} cannot be read: {error}", "the list as kopal train writes it", "delete it, or train again"
        ) from error
    return rows
