"""Labelled sets as manifests, from folders, archives, tables, names or memory. Pixels are read later, once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from kopal.datasets.archive import SUFFIXES, Packed, from_archive, is_archive, packed_photos, unreadable
from kopal.datasets.dataset import FEWEST, PARTS, Dataset, Labelled, Part, Source, check_learnable
from kopal.datasets.folder import FolderSource, expand, from_folder
from kopal.datasets.groups import check_groups
from kopal.datasets.named import NAMED, fashion_mnist_folder
from kopal.datasets.pairs import Pair, from_pairs
from kopal.datasets.reading import Reading
from kopal.datasets.table import from_table, is_table
from kopal.errors import KopalError, UsageError

__all__ = [
    "FEWEST",
    "NAMED",
    "PARTS",
    "Data",
    "Dataset",
    "FolderSource",
    "Labelled",
    "Packed",
    "Part",
    "Source",
    "check_groups",
    "check_learnable",
    "expand",
    "expand_archives",
    "fashion_mnist_folder",
    "from_archive",
    "from_folder",
    "from_pairs",
    "from_table",
    "open_dataset",
]

Data: TypeAlias = str | os.PathLike[str] | Iterable[Pair] | Dataset
"""A path or a name, pairs of an image and a label, or a set that is open already."""


def open_dataset(
    data: Data, labels_from: str | None = None, group: str | None = None, unlabelled: bool = False
) -> Dataset:
    """A folder of photos, an archive of one, a table of photos, pairs of an image and a label, or one of the names in
    `NAMED` where nothing of that name stands here.

    `labels_from` says where the class stands: parent (the folder), prefix (cat_001.jpg) or a regular expression.
    `group`, a table's column or a regular expression, says what photos have in common that no split may separate.
    With `unlabelled` the photos of a folder without class folders are of one class without a name, not an error.
    Raises `UsageError` and `DataError`.
    """
    reading = Reading(labels_from, group, unlabelled)
    if isinstance(data, Dataset) or (isinstance(data, str) and data in NAMED and not os.path.exists(data)):
        if (labels_from, group) != (None, None):
            raise UsageError("labels_from or group with a set that has its labels", "photos whose paths say more")
        return data if isinstance(data, Dataset) else replace(NAMED[data](), origin=data)
    if not isinstance(data, str | os.PathLike):
        return replace(from_pairs(data, reading), reading=reading)
    kind = from_table if is_table(data) else from_archive if is_archive(data) else from_folder
    return replace(kind(data, reading), origin=str(Path(data)), reading=reading)


def expand_archives(paths: list[str]) -> Iterator[str | Packed]:
    """As `expand`, and archives as the photos in them; what cannot be opened stays too, and reading it says why."""
    for path in paths:
        packed = path.lower().endswith(SUFFIXES) and os.path.isfile(path)
        try:
            yield from packed_photos(path) if packed else expand([path])
        except KopalError as error:  # the answers for all that is named beside it are not to be lost
            yield unreadable(path, error)
