"""A run again: its recipe, how its photos were read, and its weights file, which must still be the same one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kopal.backends.weights_file import read_file
from kopal.datasets import NAMED, Dataset, open_dataset
from kopal.errors import UsageError, WeightsError
from kopal.files import shown
from kopal.recipes import Recipe, is_file, recipe_from_json
from kopal.review import reviewed
from kopal.run import RECIPE, REPORT

EXPECTED = "a run folder of kopal train, or its recipe.json"


@dataclass(frozen=True)
class Again:
    """What made a run: its recipe, and how its photos were read, as `open_dataset` and `reviewed` take it."""

    run: Path
    recipe: Recipe
    labels_from: str | None = None
    group: str | None = None
    review: str | None = None

    def opened(
        self, data: str, labels_from: str | None = None, group: str | None = None, review: Path | None = None
    ) -> Dataset:
        """The photos, read as those of the run where nothing else is said; a note says so. "" takes none of it along.

        A review is of the run's own photos: it is not followed again. Raises `KopalError`.
        """
        kept = {
            "--labels-from": self.labels_from if labels_from is None else None,
            "--group": self.group if group is None else None,
        }
        options = " and ".join(f"{option} {shown(value)}" for option, value in kept.items() if value)
        notes = []
        if options and data in NAMED and not os.path.exists(data):
            notes.append(f"{data} has its labels: not read by {options}, as {shown(self.run)} was")
        elif options:
            notes.append(f"read by {options}, as {shown(self.run)} was")
            labels_from, group = labels_from or kept["--labels-from"], group or kept["--group"]
        if self.review and not review:
            notes.append(f"review {shown(self.review)} of {shown(self.run)} is not followed again: --review names one")
        dataset = open_dataset(data, labels_from or None, group or None)
        dataset = replace(dataset, notes=(*dataset.notes, *notes))
        return reviewed(dataset, review) if review else dataset


def how_read(dataset: Dataset) -> dict[str, str | None]:
    """What a run's report keeps of how its photos were read; `again` is the way back."""
    return {
        "labels_from": dataset.reading.labels_from,
        "group": dataset.reading.group,
        "review": dataset.review or None,
    }


def again(run: Path, weights: str | None = None) -> Again:
    """What made a run, from its folder or its recipe.json; `weights` are those that are said anew.

    Raises `UsageError`, and `WeightsError` for a weights file that is not the one that the run learned from.
    """
    recipe, report = recipe_of(run), _report(run)
    if weights is None and is_file(recipe.weights):
        _check_weights(Path(recipe.weights), report, run)
    kept = report.get("reading", {})
    if not isinstance(kept, dict) or not all(value is None or isinstance(value, str) for value in kept.values()):
        raise UsageError(f"the report of {shown(run)} is damaged: its photos were read by {kept!r}", EXPECTED)
    return Again(run, recipe, kept.get("labels_from"), kept.get("group"), kept.get("review"))


def recipe_of(run: Path) -> Recipe:
    """The recipe that a run folder keeps, or a recipe.json itself. Raises `UsageError` that says what is wrong."""
    path = run / RECIPE if run.is_dir() else run
    value = _object(path, "is no recipe")
    try:
        return recipe_from_json(value)
    except UsageError as error:
        raise UsageError(f"{shown(path)}: {error.happened}", error.expected, "train anew, or edit the file") from error


def _report(run: Path) -> dict[str, Any]:
    """What report.json says, which stands beside the recipe; nothing where a recipe stands alone."""
    path = run / REPORT if run.is_dir() else run.with_name(REPORT)
    return _object(path, "is damaged") if path.exists() else {}


def _object(path: Path, otherwise: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}", EXPECTED) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown(path)} {otherwise}: {error}", EXPECTED) from error
    if not isinstance(value, dict):
        raise UsageError(f"{shown(path)} {otherwise}", EXPECTED)
    return value


def _check_weights(path: Path, report: Mapping[str, Any], run: Path) -> None:
    """Raises `WeightsError` unless the file is, byte by byte, the one whose digest the run keeps."""
    origin = report.get("weights")
    kept = origin.get("sha256") if isinstance(origin, dict) and origin.get("file") == path.name else None
    fix = "say where it is, or which other to take: --weights PATH"
    if not isinstance(kept, str):
        raise WeightsError(f"{shown(run)} keeps no digest of its weights file {shown(path)}", "one to know it by", fix)
    expected = f"the file that {shown(run)} learned from, sha256 {kept}"
    if not path.is_file():
        raise WeightsError(f"no weights file {shown(path)} here", expected, fix)
    if hashlib.sha256(read_file(path)).hexdigest() != kept:
        raise WeightsError(f"{shown(path)} here is another file than the one of that name", expected, fix)
