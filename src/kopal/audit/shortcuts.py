"""Shortcuts: properties of the files that tell the class by themselves, so that a net may learn them instead.

Each property alone is a classifier: its values in bins, each bin named after its most frequent class, learned on some
folds and asked on the others (the one-rule classifier, Holte 1993). Photos of one group are never on two sides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels
from kopal.audit.finding import REVIEW, Finding
from kopal.datasets import Labelled
from kopal.looks import Looks
from kopal.metrics import wilson
from kopal.splits import folds

FOLDS = 5
BINS = 16
FEWEST = 40
"""Photos below which nothing is said."""
PER_BIN = 8
"""Photos that a bin of a number has at the least."""

FAR = 0.25
"""The share of the way from the largest class to always right that is far better than chance."""

WORDS = {
    "bytes": "the file's size in bytes",
    "pixels": "the picture's size in pixels",
    "aspect": "the picture's aspect ratio",
    "brightness": "the mean brightness",
    "colour": "how colourful the picture is",
    "mode": "the colour mode",
    "format": "the file format",
    "camera": "the camera in the EXIF data",
    "day": "the day in the EXIF data",
}


def shortcut_findings(photos: Labelled, looks: Looks, seed: int = 0) -> Iterator[Finding]:
    """A finding for each property of the train part's files that alone tells the class far better than chance."""
    train = photos.where("train")
    labels, groups = photos.labels[train], photos.groups[train]
    n = len(labels)
    if n < FEWEST or len(np.unique(groups)) < FOLDS or len(np.unique(labels)) < 2:
        return
    fold = folds(labels, groups.tolist(), FOLDS, seed)
    majority = float(np.bincount(labels).max() / n)
    for name, values in properties(looks[train]).items():
        right = int(one_rule(values, labels, fold).sum())
        low, high = wilson(right, n)
        lift = (right / n - majority) / (1 - majority)
        # The interval of a share that was the best of nine needs to stand well clear of the baseline, and it does.
        if lift >= FAR and low > majority:
            why = (
                f"{WORDS[name]} alone names the class of {right / n:.0%} of {n} photos, cross-validated (95 % interval "
                f"{low:.0%} to {high:.0%}); always naming the largest class would be right for {majority:.0%}"
            )
            yield Finding("shortcut", "", (), lift, why, REVIEW)


def properties(looks: Looks) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """The properties (N,) of files: numbers as float64, kinds as int64."""
    width, height = looks["width"].astype(np.float64), looks["height"].astype(np.float64)
    numbers = {
        "bytes": looks["bytes"].astype(np.float64),
        "pixels": width * height,
        "aspect": width / np.maximum(height, 1),
        "brightness": looks["thumbnail"].mean(axis=(1, 2)),
        "colour": looks["colour"].astype(np.float64),
        "day": _days(looks["day"]),
    }
    kinds = {name: np.unique(looks[name], return_inverse=True)[1] for name in ("mode", "format", "camera")}
    return {**numbers, **{name: found.astype(np.int64) for name, found in kinds.items()}}


def one_rule(
    values: NDArray[np.float64] | NDArray[np.int64], labels: Labels, fold: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which photos (N,) a property names rightly, each by the photos of the other folds."""
    right = np.zeros(len(labels), bool)
    classes = int(labels.max()) + 1
    for held in range(int(fold.max()) + 1):
        out = fold == held
        bins = _bins(values, ~out)
        table = np.zeros((int(bins.max()) + 1, classes), np.int64)
        np.add.at(table, (bins[~out], labels[~out]), 1)
        usual = int(table.sum(axis=0).argmax())
        answers = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), usual)
        right[out] = answers[bins[out]] == labels[out]
    return right


def _bins(values: NDArray[np.float64] | NDArray[np.int64], learned: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bin of each value: a kind is its own, numbers are cut where as many of those learned from lie in each."""
    if values.dtype == np.int64:
        return values.astype(np.int64)
    own = values[learned]
    count = max(2, min(BINS, len(own) // PER_BIN))
    return np.searchsorted(np.unique(np.quantile(own, np.linspace(0, 1, count + 1)[1:-1])), values, side="left")


def _days(days: NDArray[np.bytes_]) -> NDArray[np.float64]:
    """YYYY:MM:DD → days of some calendar, in order; -1 where there is none."""
    found = np.full(len(days), -1.0)
    for place, day in enumerate(days):
        parts = day.split(b":")
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            year, month, date = map(int, parts)
            found[place] = (year * 12 + month) * 31 + date
    return found
