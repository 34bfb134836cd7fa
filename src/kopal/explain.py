"""Why this answer: probabilities, where in the photo they come from, and the nearest photos learned from."""

from __future__ import annotations

import csv
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from kopal import images
from kopal.arrays import Features, Pixels
from kopal.attribution import Attribution, Attributor
from kopal.classifier import Classifier
from kopal.errors import UsageError
from kopal.extraction import ModelFeatures
from kopal.files import shown
from kopal.run import PHOTOS
from kopal.similar import nearest
from kopal.store import Store, cache_folder

NEAREST = 3
NOT_KEPT = "their features are not in the cache; kopal similar PHOTOS photo.jpg --model model.onnx computes them"


@dataclass(frozen=True)
class Learned:
    """A photo that the model has learned from, near the one that was asked about; 1 is the same direction."""

    path: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """An answer with its grounds.

    `pixels` (H, W, C) are what the model sees, `said` its answer in words, `top` the best classes with their
    probabilities, `explained` the one that `attribution` speaks of. `near` are photos learned from, nearest
    first, of `compared`; where there are none, `note` says why.
    """

    path: str
    pixels: Pixels
    said: str
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
    answer = classifier.answers(pixels[None], top)[0]
    explained = label if label is not None else answer.label
    attribution = Attributor(classifier).map(pixels, classifier.classes.index(explained))
    around = Neighbourhood(classifier, run)
    near = around.near(pixels)
    return Explanation(
        photo, pixels, answer.said, answer.top, explained, attribution, near, around.compared, around.note
    )


@final
class Neighbourhood:
    """The photos of a run that its model has learned from, by features that the cache still has.

    `compared` says how many; where there are none, `note` says why.
    """

    def __init__(self, classifier: Classifier, run: Path | None) -> None:
        self.note, self._rows, self._digests = "", [], []
        self._features = np.empty((0, 0), np.float32)
        self._known: dict[bytes, Features] = {}
        if run is None or not (run / PHOTOS).is_file():
            self.note = f"no nearest photos: {PHOTOS} of the run is not beside the model"
            return
        try:
            self._extractor = ModelFeatures(classifier)
        except UsageError as error:
            self.note = f"no nearest photos: {error.happened}"
            return
        if not cache_folder().is_dir():
            self.note = f"no nearest photos: {NOT_KEPT}"
            return
        rows = {bytes.fromhex(row["sha256"]): row for row in _rows(run / PHOTOS)}
        with closing(Store(cache_folder(), self._extractor.context)) as store:
            self._known = store.get(list(rows))
            fault = store.fault
        learned = [digest for digest in self._known if rows[digest]["part"] == "train"]
        if not learned:
            self.note = f"no nearest photos: {fault or NOT_KEPT}"
            return
        self._digests, self._rows = learned, [rows[digest] for digest in learned]
        self._features = np.stack([self._known[digest] for digest in learned])

    @property
    def compared(self) -> int:
        """How many photos are compared with."""
        return len(self._rows)

    def near(self, pixels: Pixels, count: int = NEAREST) -> tuple[Learned, ...]:
        """The nearest photos to pixels (H, W, C), nearest first."""
        return self._nearest(self._extractor.features(pixels[None])[0], count) if self._rows else ()

    def near_photo(self, digest: bytes, count: int = NEAREST) -> tuple[Learned, ...]:
        """The nearest photos to one of the run's own, itself and its equals left out."""
        if not self._rows or digest not in self._known:
            return ()
        found = self._nearest(self._known[digest], count + 1)
        own = dict(zip(self._digests, self._rows, strict=True)).get(digest)
        return tuple(one for one in found if own is None or one.path != own["path"])[:count]

    def _nearest(self, asked: Features, count: int) -> tuple[Learned, ...]:
        places, cosines = nearest(self._features, asked[None], count)
        return tuple(
            Learned(self._rows[place]["path"], self._rows[place]["class"], float(cosine))
            for place, cosine in zip(places[0], cosines[0], strict=True)
        )


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
