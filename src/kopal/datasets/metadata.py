"""The layout that Hugging Face calls imagefolder: photos beside a metadata.csv with their labels, perhaps in each part.

`file_name` is relative to the metadata.csv, as in https://huggingface.co/docs/datasets/image_dataset.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from kopal.datasets.columns import find
from kopal.datasets.dataset import Dataset, Source
from kopal.datasets.layout import PART_NAMES
from kopal.datasets.listed import Photo, labelled_rows, rows_of
from kopal.datasets.reading import Reading, relative
from kopal.datasets.rows import Table, text_rows
from kopal.datasets.tree import Tree, entries, walk
from kopal.errors import DataError, UnreadableImage
from kopal.files import shown

FILE = "metadata.csv"
UNREAD = ("metadata.jsonl", "metadata.parquet")
WINDOWS = "\\"


def with_metadata(
    tree: Tree, root: str, title: str, source: Source, notes: list[str], reading: Reading
) -> Dataset | None:
    """The set that metadata.csv describes, in the folder or in each of its parts; None where folders are to speak.

    Raises `DataError`, which names file and line.
    """
    found = dict(_tables(tree, root, source, notes))
    if not found:
        return None
    photos: list[Photo] = []
    for folder, (word, table) in found.items():
        rows = rows_of(table, _locate(folder), reading, notes)
        below = relative(folder, root) + "/" if folder != root else ""
        photos += [replace(photo, path=below + photo.path, split=word or photo.split) for photo in rows]
    photos = photos if any(photo.split for photo in photos) else _split_by_folder(photos)
    _check_there(tree, root, photos, list(found), notes)
    return labelled_rows(photos, FILE, title, source, reading, notes)


def _tables(tree: Tree, root: str, source: Source, notes: list[str]) -> Iterator[tuple[str, tuple[str, Table]]]:
    """(folder, (its part, its table)) where a metadata.csv has labels: the set's own, or those of all of its parts."""
    found = entries(tree, root)
    if (path := _metadata(tree, root)) is not None:
        table = _table(source, path, FILE)
        if find(table, "path") is not None and find(table, "label") is not None:
            yield root, ("", table)
        else:
            notes.append(f"{FILE} has no columns file_name and label, and is left aside")
        return
    parts = {entry: PART_NAMES[entry.name.lower()] for entry in found if entry.is_folder and _is_part(entry.name)}
    notes += [f"{entry.name} is not read: save it as {FILE}" for entry in found if entry.name in UNREAD]
    paths = {entry: _metadata(tree, entry.path) for entry in parts}
    if "train" not in parts.values() or not any(paths.values()):
        return
    tables = {entry: _table(source, path, f"{entry.name}/{FILE}") for entry, path in paths.items() if path}
    if any(find(table, "label") is None for table in tables.values()):
        notes.append(f"{FILE} has no column label in some part, and is left aside")
        return
    for entry, word in parts.items():
        if entry not in tables:
            raise DataError(f"{shown(entry.name)} has no {FILE}", "one in each part, as in the others")
        yield entry.path, (word, tables[entry])


def _is_part(name: str) -> bool:
    return name.lower() in PART_NAMES


def _metadata(tree: Tree, folder: str) -> str | None:
    return next((entry.path for entry in tree.entries(folder) if entry.name == FILE and not entry.is_folder), None)


def _table(source: Source, path: str, name: str) -> Table:
    try:
        return text_rows(source.read(path), name)
    except UnreadableImage as error:
        raise DataError(f"{shown(name)} cannot be read: {error.happened}", "a table of the photos") from error


def _locate(folder: str) -> Callable[[str], str]:
    return lambda cell: f"{folder}/{posixpath.normpath(cell.replace(WINDOWS, '/'))}"


def _split_by_folder(photos: list[Photo]) -> list[Photo]:
    """Where all lie in folders named as parts, train among them, those are the parts."""
    tops = (next(iter(PurePosixPath(photo.path).parts), "") for photo in photos)  # "." has none
    words = [PART_NAMES.get(top.lower(), "") for top in tops]
    if not all(words) or "train" not in words:
        return photos
    return [replace(photo, split=word) for photo, word in zip(photos, words, strict=True)]


def _check_there(tree: Tree, root: str, photos: list[Photo], folders: list[str], notes: list[str]) -> None:
    there = {relative(path, root) for folder in folders for path in walk(tree, folder)}
    listed = {relative(photo.name, root) for photo in photos}
    if photos and not listed & there:
        raise DataError(
            f"none of the {len(photos)} files in {FILE} is there, not even {shown(photos[0].path)}",
            f"paths relative to the folder of {FILE}",
        )
    left = sorted(path for path in there - listed if PurePosixPath(path).name != FILE)
    if left:
        examples = ", ".join(map(shown, left[:3])) + (" …" if len(left) > 3 else "")
        notes.append(f"{len(left)} files that {FILE} does not name left aside: {examples}")
