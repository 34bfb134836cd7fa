"""What a run folder holds, read back: a page is made of files, so it can be made again at any time."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kopal.classifier import Classifier, load
from kopal.errors import UsageError
from kopal.files import shown
from kopal.run import MODEL, PHOTOS, PREDICTIONS, RECIPE, REPORT, check_finished

NOT_AS_WRITTEN = (ValueError, LookupError, TypeError, AttributeError)
"""What meets a text where a number belongs, and the like."""


@dataclass(frozen=True)
class Answer:
    """What was said of a photo that had not been learned from, and what it is, each with its probability."""

    path: str
    truth: str
    said: str
    probability: float
    of_truth: float
    answer: str

    @property
    def right(self) -> bool:
        """Whether that was right."""
        return self.truth == self.said


@dataclass(frozen=True)
class Photo:
    """A photo that was read: its class, its part, its sha256."""

    path: str
    label: str
    part: str
    sha256: str


@dataclass(frozen=True)
class Facts:
    """A run's files as values. `report` and `recipe` are report.json and recipe.json as they are."""

    folder: Path
    report: Mapping[str, Any]
    recipe: Mapping[str, Any]
    classifier: Classifier
    answers: tuple[Answer, ...]
    photos: tuple[Photo, ...]
    history: tuple[Mapping[str, float], ...]
    left_out: tuple[Mapping[str, str], ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.classifier.classes

    @cached_property
    def cells(self) -> Mapping[tuple[int, int], tuple[Answer, ...]]:
        """The answers of each cell of the confusion matrix, (true class, said), the surest first."""
        place = {name: index for index, name in enumerate(self.classes)}
        found: dict[tuple[int, int], list[Answer]] = {}
        for answer in sorted(self.answers, key=lambda answer: -answer.probability):
            found.setdefault((place[answer.truth], place[answer.said]), []).append(answer)
        return {cell: tuple(answers) for cell, answers in found.items()}

    @cached_property
    def confusion(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(K, K), a row per true class."""
        return np.array(self.report["confusion"], np.int64)


def read_facts(folder: Path, report: Mapping[str, Any] | None = None, classifier: Classifier | None = None) -> Facts:
    """A run folder's files; `report` and `classifier` in the place of its report.json and model.onnx.

    Raises `UsageError` where they are not there or not a run's, `ModelFileError`.
    """
    if report is None:
        check_finished(folder)
    try:
        report = json.loads((folder / REPORT).read_bytes()) if report is None else report
        recipe = json.loads((folder / RECIPE).read_bytes())
        answers = tuple(
            Answer(
                row["path"],
                row["truth"],
                row["predicted"],
                float(row["probability"]),
                float(row["of_truth"]),
                row["answer"],
            )
            for row in _rows(folder / PREDICTIONS)
        )
        listed = _rows(folder / PHOTOS) if (folder / PHOTOS).exists() else []
        photos = tuple(Photo(row["path"], row["class"], row["part"], row["sha256"]) for row in listed)
        kept = _rows(folder / "history.csv") if (folder / "history.csv").exists() else []
        history = tuple({name: _number(value) for name, value in row.items()} for row in kept)
        left_out = tuple(_rows(folder / "ledger.csv"))
        model = classifier or load(folder / MODEL)
        facts = Facts(folder, report, recipe, model, answers, photos, history, left_out)
        if tuple(report["classes"]) != facts.classes or {answer.truth for answer in answers} - {*facts.classes}:
            raise ValueError("report.json, predictions.csv and model.onnx name other classes")
    except (OSError, csv.Error, *NOT_AS_WRITTEN) as error:
        raise damaged(folder, error) from error
    return facts


def damaged(folder: Path, error: Exception) -> UsageError:
    """What to say of a run whose files hold something else than was written."""
    return UsageError(
        f"the run in {shown(folder)} is damaged: {error}", "the files as kopal train wrote them", "train again"
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float(text == "True")
