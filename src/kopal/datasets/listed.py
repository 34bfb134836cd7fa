"""Rows of a table as the photos of a set: each file once and as one thing, or an error that names the lines."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kopal.datasets.columns import find, named, needed
from kopal.datasets.dataset import Dataset, Part, Source
from kopal.datasets.groups import grouped
from kopal.datasets.layout import PART_NAMES, assemble, parts_of
from kopal.datasets.reading import OfPath, Reading, parent
from kopal.datasets.rows import Table
from kopal.errors import DataError, UsageError
from kopal.files import shown

SPLITS = {
    **PART_NAMES,
    **dict.fromkeys(("validate", "dev", "calibration", "calibrate", "calib", "cal"), "validation"),
    **dict.fromkeys(("eval", "evaluation", "holdout", "hold-out"), "test"),
    "learn": "train",
}


@dataclass(frozen=True)
class Photo:
    """A row that names a photo: where it stands in the table, the photo's name in its source, what is said of it.

    `path` is the photo's, relative to the set; `split` one of train, validation and test, or nothing.
    """

    place: str
    name: str
    path: str
    label: str
    split: str
    group: str | None


def rows_of(table: Table, locate: Callable[[str], str], reading: Reading, notes: list[str]) -> list[Photo]:
    """The photos of a table, each file once; `locate` turns a cell into the photo's name in its source.

    Raises `DataError` that names the line: no path or label, an unknown part, one photo as two things.
    """
    path, split = needed(table, "path", "path,label"), find(table, "split")
    label_of, place_of_label = _labels(table, reading)
    group_of, place_of_group = _groups(table, reading)
    split = None if split is None or not any(row.cells[split] for row in table.rows) else split
    found: dict[str, Photo] = {}
    twice = 0
    for place, cells in table.rows:
        below = cells[path].replace("\\", "/")
        label = cells[place_of_label] if place_of_label is not None else label_of(below) or ""
        if not below or not label:
            what = "path" if not below else f"class in {shown(below)}" if place_of_label is None else "label"
            raise DataError(
                f"{shown(table.name)}, {place} has no {what}",
                "a path and a label in every line",
                "fill it in, or take the line out",
            )
        own = group_of(below) if group_of else cells[place_of_group] if place_of_group is not None else None
        word = "" if split is None else _split(cells[split], table.name, place)
        photo = Photo(place, locate(cells[path]), below, unicodedata.normalize("NFC", label), word, own or None)
        first = found.setdefault(os.path.normcase(photo.name), photo)
        if first is not photo:
            _check_same(first, photo, table.name)
            twice += 1
    if twice:
        notes.append(f"{twice} lines of {shown(table.name)} repeat a photo that stands there already; each counts once")
    _check_spelling(found.values(), table.name)
    return list(found.values())


def labelled_rows(
    photos: Sequence[Photo], where: str, title: str, source: Source, reading: Reading, notes: list[str]
) -> Dataset:
    """Photos as rows say → the set, with the parts that the words of all rows together mean. Raises `DataError`."""
    if not photos:
        raise DataError(f"{shown(where)} lists no photos", "a line for each photo, below the line of names")
    parts: dict[str, Part] = {"": "train", **parts_of({photo.split for photo in photos})}
    rows = [(photo.name, photo.label, parts[photo.split]) for photo in photos]
    dataset = assemble(title, source, rows, notes, where)
    groups = [photo.group for photo in photos]
    return grouped(dataset, groups) if reading.group is not None or any(groups) else dataset


def _labels(table: Table, reading: Reading) -> tuple[OfPath, int | None]:
    if reading.labels_from is None:
        return parent, needed(table, "label", "path,label")
    if (place := find(table, "label")) is not None:
        raise UsageError(
            f"--labels-from {reading.labels_from}, but {shown(table.name)} has labels, "
            f"in the column {shown(table.columns[place])}",
            "one of the two",
            "leave out --labels-from, or rename the column",
        )
    return reading.label_of() or parent, None


def _groups(table: Table, reading: Reading) -> tuple[OfPath | None, int | None]:
    if reading.group is None:
        return None, find(table, "group")
    if (place := named(table, reading.group, "group")) is not None:
        return None, place
    return reading.group_of(table.columns), None


def _split(word: str, name: str, place: str) -> str:
    kind = SPLITS.get(word.casefold().replace("_", "-"))
    if kind is None:
        raise DataError(
            f"{shown(name)}, {place} is in the part {shown(word)!r}" if word else f"{shown(name)}, {place} has no part",
            "train, validation (or calibration) or test in every line",
            "write one of these, or leave the column out",
        )
    return kind


def _check_same(first: Photo, second: Photo, name: str) -> None:
    for what, one, other in (
        ("labels", first.label, second.label),
        ("parts", first.split, second.split),
        ("groups", first.group, second.group),
    ):
        if one != other:
            raise DataError(
                f"{shown(name)} gives {shown(first.path)} two {what}: "
                f"{shown(one or 'none')} in {first.place}, {shown(other or 'none')} in {second.place}",
                "each photo as one thing",
                "take one of the lines out",
            )


def _check_spelling(photos: Iterable[Photo], name: str) -> None:
    spelled: dict[str, Photo] = {}
    for photo in photos:
        first = spelled.setdefault(photo.label.casefold(), photo)
        if first.label != photo.label:
            raise DataError(
                f"{shown(name)} has the classes {shown(first.label)!r}, {first.place}, and {shown(photo.label)!r}, "
                f"{photo.place}, which differ only by case",
                "one spelling for each class",
                "write them alike",
            )
