"""How good the answers are, as numbers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal import images
from kopal.arrays import Labels, Scores
from kopal.audit import count_marked
from kopal.classifier import BATCH, Classifier
from kopal.datasets import Dataset
from kopal.errors import DataError, UnreadableImage
from kopal.files import some
from kopal.ledger import LedgerRow, ledger_row
from kopal.metrics import ClassMetrics, confusion, per_class, wilson
from kopal.model_file import Card
from kopal.parallel import chunks, ordered
from kopal.trust.drift import DRIFT, Drift, Reference, compare
from kopal.trust.promise import Promise
from kopal.trust.promise_check import CoverageCheck, FloorCheck, check_coverage, check_floor
from kopal.trust.reliability import Calibration, calibration, confidences, probabilities_of
from kopal.trust.resampling import macro_f1, macro_f1_interval
from kopal.trust.selective import Point, risk_coverage

FEW_KNOWN = 0.05
"""More photos than that share of the new ones were learned from: then nothing is said of drift."""


@dataclass(frozen=True)
class Report:
    """Numbers only. `measured_on` says which photos: held out of each fold in turn, or a test part.

    `interval` is the accuracy's 95 % Wilson interval, `majority` the accuracy of always naming the largest class,
    `confusion` (K, K) has a row per true class. `macro_f1` is the mean over classes that have photos, its interval by
    the bootstrap; `calibration` what the probabilities are worth, `risk_coverage` how rare errors become if only the
    surest answers are given. `coverage` and `max_error` say what became of the promises that were asked for, `drift`
    whether new photos look like those that the model knows.
    """

    measured_on: str
    accuracy: float
    interval: tuple[float, float]
    n: int
    majority: float
    log_loss: float
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    per_class: tuple[ClassMetrics, ...]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    calibration: Calibration
    risk_coverage: tuple[Point, ...]
    coverage: CoverageCheck | None = None
    max_error: FloorCheck | None = None
    drift: Drift | None = None

    def worst_confusions(self, count: int = 3) -> list[tuple[str, str, int]]:
        """(true class, predicted class, photos), most frequent first, zeros left out."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        cells = [divmod(int(cell), len(self.classes)) for cell in order]
        return [
            (self.classes[was], self.classes[said], int(wrong[was, said])) for was, said in cells if wrong[was, said]
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as report.json and `evaluate --json` have them."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "n": self.n,
            "measured_on": self.measured_on,
            "majority": self.majority,
            "log_loss": self.log_loss,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "per_class": [_class_json(row) for row in self.per_class],
            "macro_f1": self.macro_f1,
            "macro_f1_interval": list(self.macro_f1_interval),
            "calibration": self.calibration.as_json(),
            "risk_coverage": [asdict(point) for point in self.risk_coverage],
            **{
                name: found.as_json()
                for name, found in (("coverage", self.coverage), ("max_error", self.max_error), ("drift", self.drift))
                if found
            },
        }


def _class_json(row: ClassMetrics) -> dict[str, Any]:
    shares = {"precision": row.precision, "recall": row.recall, "f1": row.f1}
    intervals = {f"{name}_interval": list(found) for name, found in zip(shares, row.intervals, strict=True)}
    return {"class": row.name, "n": row.n, **shares, **intervals}


def evaluate(scores: Scores, labels: Labels, temperature: float, classes: tuple[str, ...], measured_on: str) -> Report:
    """Scores (N, K) before calibration and labels (N,) → the report. Raises `DataError` for no photos."""
    if not len(labels):
        raise DataError("no readable photos to measure on", "at least one")
    predicted = scores.argmax(axis=1)
    right = int((predicted == labels).sum())
    table = confusion(labels, predicted, len(classes))
    calibrated = calibration(scores, labels, temperature)
    return Report(
        measured_on,
        right / len(labels),
        wilson(right, len(labels)),
        len(labels),
        float(table.sum(axis=1).max() / len(labels)),
        calibrated.log_loss,
        classes,
        table,
        tuple(per_class(table, classes)),
        macro_f1(table),
        macro_f1_interval(table),
        calibrated,
        risk_coverage(*confidences(probabilities_of(scores, temperature), labels)),
    )


def evaluate_dataset(classifier: Classifier, dataset: Dataset) -> tuple[Report, tuple[LedgerRow, ...], int]:
    """A finished classifier on labelled photos; of a set with parts, its test part.

    On photos that it has not learned from, its promises are checked and drift is looked for.
    Also what could not be read, and how many of the photos the model has learned from.

    Raises `DataError` for a class that the model lacks.
    """
    dataset = dataset.only("test") if dataset.has("test") else dataset
    extra = [name for name, count in zip(dataset.classes, dataset.counts(), strict=True) if count]
    extra = [name for name in extra if name not in classifier.classes]
    if extra:
        raise DataError(
            f"the photos have classes that the model lacks: {some(extra)}",
            f"classes of the model: {some(classifier.classes)}",
            "rename the folders, or train a model with these classes",
        )
    scores: list[Scores] = []
    labels: list[int] = []
    ledger: list[LedgerRow] = []
    digests: list[bytes] = []
    for read, bad in ordered(lambda batch: _scores(classifier, dataset, batch), chunks(range(len(dataset)), BATCH)):
        ledger += bad
        for index, (digest, row) in read.items():
            digests.append(digest)
            scores.append(row)
            labels.append(classifier.classes.index(dataset.classes[dataset.labels[index]]))
    matrix = np.array(scores, np.float32).reshape(len(labels), len(classifier.classes))
    truth = np.array(labels, np.int64)
    measured_on = "test part" if dataset.has("test") else "all photos"
    report = evaluate(matrix, truth, classifier.card.temperature, classifier.classes, measured_on)
    known = count_marked(str(classifier.card.provenance.get("learned_from", "")), digests)
    # Photos that were learned from look too well known.
    if known <= FEW_KNOWN * len(digests):
        report = _with_trust(report, classifier.card, matrix, truth)
    return report, tuple(ledger), known


def _with_trust(report: Report, card: Card, scores: Scores, labels: Labels) -> Report:
    """The report with what became of the card's promises on these photos, and whether they look like the old ones."""
    promise = Promise.of_card(card.thresholds, len(card.classes))
    probabilities, usual = probabilities_of(scores, card.temperature), card.thresholds.get(DRIFT)
    drift = compare(Reference.from_json(usual), scores, card.temperature) if usual is not None else None
    floor = promise.floor
    errors = check_floor(promise, floor.max_error, floor.photos, probabilities, labels) if floor else None
    return replace(report, coverage=check_coverage(promise, probabilities, labels), max_error=errors, drift=drift)


def _scores(
    classifier: Classifier, dataset: Dataset, batch: list[int]
) -> tuple[dict[int, tuple[bytes, Scores]], list[LedgerRow]]:
    pixels = {}
    digests = {}
    bad = []
    for index in batch:
        data = b""
        try:
            data = dataset.read(index)
            pixels[index] = images.read(data, classifier.geometry)
            digests[index] = hashlib.sha256(data).digest()
        except UnreadableImage as error:
            bad.append(ledger_row(dataset, index, data, error))
    if not pixels:
        return {}, bad
    rows = classifier.scores(np.stack(list(pixels.values())))
    return {index: (digests[index], row) for index, row in zip(pixels, rows, strict=True)}, bad
