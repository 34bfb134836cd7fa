"""Runs side by side, and whether a difference between them is more than chance: on the same photos, photo by photo.

Two models that see the same photos are compared where they disagree (McNemar 1947): their accuracies' intervals may
overlap although one is plainly better.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import UsageError
from kopal.files import shown
from kopal.metrics import wilson
from kopal.run import MODEL, PREDICTIONS, REPORT, check_finished
from kopal.trust.binomial import mcnemar
from kopal.trust.reliability import bins, debiased_ece


@dataclass(frozen=True)
class Finished:
    """What is read of a run's folder: `answers` by photo are the true class, the predicted one and its probability."""

    folder: Path
    log_loss: float
    seconds: float
    size: int
    measured_on: str
    answers: dict[str, tuple[str, str, float]]


@dataclass(frozen=True)
class Compared:
    """One run, on the `n` photos that all have answered, or on all of its own where there are none such.

    `interval` is the accuracy's 95 % Wilson interval, `calibration_error` the debiased one, `log_loss` that of the
    run's own report. `only_first` and `only_this` count the photos that only one of the first run and this has right;
    `p` is McNemar's, and None for the first or where no photos are shared.
    """

    run: str
    n: int
    accuracy: float
    interval: tuple[float, float]
    log_loss: float
    calibration_error: float
    seconds: float
    bytes: int
    measured_on: str
    only_first: int = 0
    only_this: int = 0
    p: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"interval": list(self.interval)}


@dataclass(frozen=True)
class Comparison:
    """A row per run, and how many photos each has answered: only the `shared` ones are compared."""

    rows: tuple[Compared, ...]
    shared: int
    answered: tuple[int, ...]

    @property
    def note(self) -> str:
        """What to know of the photos, or nothing: all runs have answered the same ones."""
        if not self.shared:
            return "the runs were measured on different photos: nothing can be said of the difference"
        if {*self.answered} == {self.shared}:
            return ""
        own = ", ".join(map(str, self.answered))
        return (
            f"compared on the {self.shared} photos that all have answered, of {own}; log loss is of all of a run's own"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `compare --json` prints them."""
        return {"runs": [row.as_json() for row in self.rows], "shared": self.shared, "note": self.note}


def compare(folders: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Run folders, two or more → each against the first. Raises `UsageError` for what is no finished run."""
    if len(folders) < 2:
        raise UsageError(f"a comparison of {len(folders)} run", "two or more", "name another run's folder")
    runs = [read_run(Path(folder)) for folder in folders]
    first = runs[0]
    shared = [name for name in first.answers if all(name in run.answers for run in runs)]
    for run in runs:
        torn = next((name for name in shared if run.answers[name][0] != first.answers[name][0]), None)
        if torn is not None:
            raise UsageError(
                f"{shown(torn)} is {first.answers[torn][0]!r} in {shown(first.folder)} and "
                f"{run.answers[torn][0]!r} in {shown(run.folder)}",
                "runs on the same photos with the same labels",
                "train both on the photos as they are now",
            )
    rows = [_row(run, shared or list(run.answers)) for run in runs]
    if shared:
        rows[1:] = [_against(first, run, row, shared) for run, row in zip(runs[1:], rows[1:], strict=True)]
    return Comparison(tuple(rows), len(shared), tuple(len(run.answers) for run in runs))


def read_run(folder: Path) -> Finished:
    """A finished run's folder → its answers and costs. Raises `UsageError` for anything else."""
    check_finished(folder)
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        table = csv.DictReader(io.StringIO((folder / PREDICTIONS).read_text(encoding="utf-8"), newline=""))
        answers = {row["path"]: (row["truth"], row["predicted"], float(row["probability"])) for row in table}
        if not answers:
            raise ValueError("no answers")
        size = (folder / MODEL).stat().st_size
        measured_on = str(report["measured_on"])
        return Finished(folder, float(report["log_loss"]), float(report["seconds"]), size, measured_on, answers)
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
        raise UsageError(
            f"the run in {shown(folder)} is damaged: {type(error).__name__}: {error}",
            "the files as kopal train wrote them",
            "train again",
        ) from error


def _row(run: Finished, names: Sequence[str]) -> Compared:
    right = _right(run, names)
    sure = np.array([run.answers[name][2] for name in names])
    hits = int(right.sum())
    error = debiased_ece(bins(sure, right))
    shares = hits / len(names), wilson(hits, len(names)), run.log_loss, error
    return Compared(shown(run.folder), len(names), *shares, run.seconds, run.size, run.measured_on)


def _against(first: Finished, run: Finished, row: Compared, names: Sequence[str]) -> Compared:
    was, now = _right(first, names), _right(run, names)
    lost, won = int((was & ~now).sum()), int((now & ~was).sum())
    return replace(row, only_first=lost, only_this=won, p=mcnemar(lost, won))


def _right(run: Finished, names: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([run.answers[name][0] == run.answers[name][1] for name in names])
