"""A list of findings to edit, and a set of photos without what its owner then leaves out. Files are never touched."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kopal.audit import Audit
from kopal.audit.finding import KEEP, LEAVE_OUT, RELABEL
from kopal.datasets import Dataset
from kopal.errors import UsageError
from kopal.files import shown, write_csv

COLUMNS = ("action", "kind", "file", "class", "others", "score", "why", "advised")
BETWEEN = " | "
MOST_BYTES = 64 << 20
FIX = "kopal audit PHOTOS --out review.csv writes such a list"


@dataclass(frozen=True)
class _Row:
    line: int
    file: str
    action: str
    label: int = -1


def write_review(path: Path, audit: Audit, dataset: Dataset) -> None:
    """One row a finding; the column `action` says keep until its owner says otherwise. Raises `OutputError`."""
    labels = dict(zip(dataset.names, dataset.labels, strict=True))

    def rows() -> Iterator[Sequence[object]]:
        for found in audit.findings:
            own = dataset.classes[labels[found.file]] if found.file in labels else ""
            others = BETWEEN.join(found.others)
            yield KEEP, found.kind, found.file, own, others, f"{found.score:.4f}", found.why, found.action

    write_csv(path, COLUMNS, rows())


def reviewed(dataset: Dataset, path: Path) -> Dataset:
    """A set without the photos that a review leaves out, and with the classes that it gives to others.

    Raises `UsageError`, once for all of them, where a row names a file, an action or a class that is not there.
    """
    names = _Names(dataset.names)
    classes = {_written(name): label for label, name in enumerate(dataset.classes)}
    wrong: list[str] = []
    actions: dict[int, _Row] = {}
    for row in _rows(path):
        if row.action == KEEP:
            continue
        place = names.place(row.file)
        if place is None:
            wrong.append(f"line {row.line}: no photo {shown(row.file)!r}")
            continue
        label = classes.get(row.action.removeprefix(RELABEL), -1) if row.action.startswith(RELABEL) else -1
        if row.action != LEAVE_OUT and label < 0:
            wrong.append(f"line {row.line}: action {shown(row.action)!r}")
        elif place in actions and actions[place].action != row.action:
            wrong.append(f"line {row.line}: {shown(row.action)!r}, line {actions[place].line} says otherwise")
        else:
            actions[place] = replace(row, label=label)
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise UsageError(
            f"{shown(path)} cannot be followed: {'; '.join(wrong[:5])}{more}",
            f"photos of {shown(dataset.title)}, and for each keep, leave out or relabel:NAME with one of its classes",
            FIX,
        )
    renamed = {place: row.label for place, row in actions.items() if row.label >= 0}
    labels = [renamed.get(place, label) for place, label in enumerate(dataset.labels)]
    kept = [place for place in range(len(dataset)) if place not in actions or place in renamed]
    left = len(dataset) - len(kept)
    note = f"by {shown(path)}, {left} photos are left out and {len(renamed)} have another class"
    notes = (*dataset.notes, note)
    return replace(dataset, labels=tuple(labels), notes=notes, review=path.name).sample(kept)


def decisions(path: Path) -> int:
    """How many rows of a review its owner has decided: they say something else than keep. Raises `UsageError`."""
    return sum(row.action != KEEP for row in _rows(path))


def _rows(path: Path) -> Iterator[_Row]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{shown(path)} is {path.stat().st_size >> 20} MB", "a review", FIX)
        # A spreadsheet may put a mark at the start; odd bytes in file names were written as escapes.
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n", 1)[0]
        mark = max(",;\t", key=first.count)  # spreadsheets of some countries write semicolons
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        if not {"action", "file"} <= set(reader.fieldnames or ()):
            raise UsageError(f"{shown(path)} has no columns `action` and `file`", "a review", FIX)
        for row in reader:
            if row["action"] is None or row["file"] is None:
                raise UsageError(f"{shown(path)}: line {reader.line_num} ends too early", "all columns", FIX)
            yield _Row(reader.line_num, row["file"], _plain(row["action"]))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UsageError(f"cannot read {shown(path)}: {reason.lower()}", "a review as UTF-8 text", FIX) from error


def _plain(action: str) -> str:
    """An action as its owner may type it: case and spaces around do not count, an empty one keeps."""
    action = action.strip()
    verb, colon, name = action.partition(":")
    verb = " ".join(verb.lower().split())
    return f"{verb}:{name.strip()}" if colon else verb or KEEP


def _written(name: str) -> str:
    """A name as `write_csv` writes it."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class _Names:
    """Where a photo stands: by its name as it was written, else by where that leads from here."""

    def __init__(self, names: Sequence[str]) -> None:
        self._written = {_written(name): place for place, name in enumerate(names)}
        self._absolute: dict[str, int] | None = None
        self._names = names

    def place(self, file: str) -> int | None:
        if file in self._written:
            return self._written[file]
        if self._absolute is None:
            self._absolute = {_written(os.path.abspath(name)): place for place, name in enumerate(self._names)}
        return self._absolute.get(os.path.abspath(file)) if file else None
