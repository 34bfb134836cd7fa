"""A run folder: the model, the recipe, what was left out, and how good it is. Each file is whole or not there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kopal.classifier import Classifier
from kopal.datasets import Labelled
from kopal.errors import Diverged, OutputError, UsageError
from kopal.evaluate import Report
from kopal.files import BEGUN, HALF, abandoned, shown, sweep, write_bytes, write_csv, write_json, write_text
from kopal.fit.fitted import HeadRow
from kopal.fit.loop import Epoch
from kopal.holding import LOCK, Hold, hold, is_held
from kopal.ledger import LedgerRow
from kopal.numbered import check_runs, next_free, numbered
from kopal.recipes import Recipe
from kopal.run_tables import Answers, photo_rows, prediction_rows

RECIPE, REPORT, MODEL, PREDICTIONS = "recipe.json", "report.json", "model.onnx", "predictions.csv"
PHOTOS = "photos.csv"
"""The file, inside a run's folder, that lists every photo that was read: its part, and the sha256 to know it by."""
PAGE = "report.html"
CHECKPOINT = "checkpoint"
"""The folder, inside a run's, of a training that is not finished."""
FILES = (
    *(MODEL, RECIPE, "ledger.csv", PREDICTIONS, PHOTOS, "history.csv", "heads.csv"),
    *(PAGE, REPORT),
)
"""What a run writes, the report last: a folder that has one is complete."""


@dataclass(frozen=True)
class Run:
    """A finished training: `classifier` to use, `report` to read, `folder` with both as files."""

    folder: Path
    classifier: Classifier
    report: Report
    recipe: Recipe
    ledger: tuple[LedgerRow, ...]
    answers: Answers
    history: tuple[Epoch, ...]
    seconds: float
    heads: tuple[HeadRow, ...] = ()

    @property
    def model(self) -> Path:
        """The file model.onnx."""
        return self.folder / MODEL

    def numbers(self) -> dict[str, Any]:
        """What report.json holds."""
        found: dict[str, Any] = json.loads((self.folder / REPORT).read_text(encoding="utf-8"))
        return found

    def write(
        self,
        recipe: dict[str, Any],
        details: dict[str, Any],
        photos: Labelled,
        page: Callable[[Mapping[str, Any]], str] = lambda report: "",
    ) -> None:
        """The files of the folder; `recipe` holds the knobs that were used, `details` join the report's numbers.

        `page` makes report.html of the other files and the report; "" makes none.

        Raises `OutputError`, and takes back what it has written, unless nothing else holds what was learned.
        """
        try:
            write_bytes(self.folder / BEGUN, b"")
            self._write(recipe, self.report.as_json() | {"seconds": self.seconds} | details, photos, page)
        except BaseException:
            if not self.history or (self.folder / CHECKPOINT).is_dir():
                _take_back(self.folder)
            sweep(self.folder)
            raise
        sweep(self.folder)
        shutil.rmtree(self.folder / CHECKPOINT, ignore_errors=True)

    def _write(
        self,
        recipe: dict[str, Any],
        report: dict[str, Any],
        photos: Labelled,
        page: Callable[[Mapping[str, Any]], str],
    ) -> None:
        self.classifier.save(self.model)
        write_json(self.folder / RECIPE, recipe)
        ledger = [(row.path, row.class_name, row.sha256, row.kind, row.reason) for row in self.ledger]
        write_csv(self.folder / "ledger.csv", ("path", "class", "sha256", "kind", "reason"), ledger)
        write_csv(
            self.folder / PREDICTIONS,
            ("path", "truth", "predicted", "probability", "of_truth", "answer"),
            prediction_rows(self.answers, self.classifier.classes),
        )
        write_csv(self.folder / PHOTOS, ("path", "class", "part", "sha256"), photo_rows(photos))
        if self.history:
            names = [field.name for field in fields(Epoch)]
            write_csv(
                self.folder / "history.csv", names, ([getattr(row, name) for name in names] for row in self.history)
            )
        if self.heads:
            columns = ("head", "accuracy", "low", "high", "n", "log_loss", "seconds", "bytes")
            rows = (
                (row.head, row.accuracy, *row.interval, row.n, row.log_loss, row.seconds, row.bytes)
                for row in self.heads
            )
            write_csv(self.folder / "heads.csv", columns, rows)
        if text := page(report):
            write_text(self.folder / PAGE, text)
        write_json(self.folder / REPORT, report)


def check_finished(folder: Path) -> None:
    """Raises `UsageError` where a folder lacks what every finished run has."""
    for name in (REPORT, PREDICTIONS, MODEL):
        if not (folder / name).is_file():
            raise UsageError(
                f"{shown(folder)} is no finished run: {name} is missing",
                "a folder that kopal train wrote, such as runs/photos-1",
                "kopal train PHOTOS makes one",
            )


@contextlib.contextmanager
def reserved(out: Path | None, title: str, resume: bool = False, launch: str = "") -> Iterator[Path]:
    """A folder for a run, made before the work starts and held while it goes on; taken away again if it stays empty.

    `out` must be new or empty; None takes the first free runs/<title>-<n>. With `resume` it may hold a training that
    was cut short, and None takes the last such run. By `launch` a launcher that starts again finds it (`own_run`).
    Raises `OutputError`, also where another process trains in the folder; an interrupt says what is kept.
    """
    out = _last_unfinished(title) if out is None and resume else out
    if out is None:
        _tidy_abandoned(title)
    folder = out if out is not None else next_free(title)
    held = _make(folder, resume)
    held.says(launch)
    try:
        yield folder
    except KeyboardInterrupt:
        if _unfinished(folder) and any((folder / CHECKPOINT).iterdir()):
            raise KeyboardInterrupt(
                f"what was trained is kept in {shown(folder / CHECKPOINT)}\n"
                "the same command with --resume goes on from there"
            ) from None
        raise
    except Diverged:
        # What is kept would only diverge again.
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        raise
    finally:
        held.release(keep=bool(launch) and _unfinished(folder))
        for left in (folder / CHECKPOINT, folder):
            with contextlib.suppress(OSError):  # not empty: the run is in it
                left.rmdir()


def check_free(out: Path | None, resume: bool = False, title: str = "") -> None:
    """Raises `OutputError` where `reserved` would; nothing is made and nothing deleted."""
    out = _last_unfinished(title) if out is None and resume else out
    if out is None:
        check_runs()
        return
    try:
        _check_kind(out)
        if is_held(out):
            raise _busy(out)
        if out.is_dir():
            _check_content(out, resume)
        above = next((folder for folder in (out, *out.parents) if folder.exists()), out)
        if not above.is_dir():
            raise _unmade(out, "not a directory")
        if not os.access(above, os.W_OK):
            raise _unmade(out, "permission denied")
    except OSError as error:
        raise _unmade(out, error.strerror or str(error)) from error


def _take_back(folder: Path) -> None:
    """Delete the files of a run that could not be written as a whole."""
    for name in FILES:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _unfinished(folder: Path) -> bool:
    return (folder / CHECKPOINT).is_dir() and not (folder / REPORT).exists()


def _last_unfinished(title: str) -> Path | None:
    return next((folder for folder in reversed(numbered(title)) if _unfinished(folder)), None)


def _make(folder: Path, resume: bool) -> Hold:
    try:
        _check_kind(folder)
        folder.mkdir(parents=True, exist_ok=True)
        held = hold(folder)
        if held is None:
            raise _busy(folder)
        try:
            _tidy(folder)
            if (folder / REPORT).exists() and resume:
                shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)  # killed at the very end, it would stay for ever
            _check_content(folder, resume)
            _check_writable(folder)
        except BaseException:
            held.release()
            raise
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise _unmade(folder, error.strerror or str(error)) from error
    return held


def _busy(folder: Path) -> OutputError:
    return OutputError(
        f"a training goes on in {shown(folder)} right now",
        "a folder that no other process works in",
        "wait until it has ended, or choose another --out",
    )


def _check_kind(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{shown(folder)} is a file", "a new or empty folder", "choose another --out")


def _check_content(folder: Path, resume: bool) -> None:
    """Raises `OutputError` where a run cannot stand in a folder for what is in it, leavings of killed ones aside."""
    if (folder / REPORT).exists() and resume:
        raise OutputError(f"the run in {shown(folder)} is finished", "one that was cut short", "choose another --out")
    if _unfinished(folder) and not resume:
        raise OutputError(
            f"{shown(folder)} holds a training that was cut short",
            "a new or empty folder",
            "add --resume to go on with it, or choose another --out",
        )
    half = (folder / BEGUN).exists() and not (folder / REPORT).exists()
    if not _unfinished(folder) and any(
        not (entry.name.endswith((HALF, LOCK)) or (half and entry.name in FILES)) for entry in folder.iterdir()
    ):
        raise OutputError(f"{shown(folder)} is not empty", "a new or empty folder", "choose another --out")


def _unmade(folder: Path, reason: str) -> OutputError:
    return OutputError(
        f"cannot make the folder {shown(folder)}: {reason.lower()}",
        "a place that may be written to",
        "choose another --out",
    )


def _tidy(folder: Path) -> None:
    """Delete what a process that was killed has left in the folder of a run."""
    if (folder / BEGUN).exists() and not (folder / REPORT).exists():
        _take_back(folder)
    sweep(folder)


def _tidy_abandoned(title: str) -> None:
    """Half runs that nobody works on any more go as a whole, and their folders if nothing else is in them."""
    for left in numbered(title):
        if abandoned(left / BEGUN) and not is_held(left):
            _tidy(left)
            with contextlib.suppress(OSError):
                (left / LOCK).unlink(missing_ok=True)
                left.rmdir()


def _check_writable(folder: Path) -> None:
    probe = folder / f".writable{HALF}"
    probe.touch()
    probe.unlink()
