"""A table of photos as a labelled set: CSV, TSV or Parquet with a path, a label, perhaps a part and a group per row.

Paths are relative to the table's folder. A file that is not there is a row of the ledger, as any that cannot be read.
"""

from __future__ import annotations

import os
from pathlib import Path

from kopal.datasets.dataset import Dataset
from kopal.datasets.folder import FolderSource
from kopal.datasets.listed import labelled_rows, rows_of
from kopal.datasets.parquet import parquet_rows
from kopal.datasets.reading import Reading
from kopal.datasets.rows import text_rows
from kopal.errors import DataError, UsageError
from kopal.files import shown

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".parquet")
MOST_BYTES = 256 << 20


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file whose name says that it is a table."""
    return os.fspath(path).lower().endswith(SUFFIXES) and os.path.isfile(path)


def from_table(path: str | os.PathLike[str], reading: Reading = Reading()) -> Dataset:  # noqa: B008 - frozen
    """The labelled photos that a table lists. Raises `UsageError` (cannot be read) and `DataError` (what is wrong)."""
    folder, name = os.path.split(path)
    table = parquet_rows(path) if name.lower().endswith(".parquet") else text_rows(_read(path), name)

    def locate(cell: str) -> str:
        return os.path.normpath(os.path.join(folder, _with_slashes(cell, folder)))

    notes: list[str] = []
    photos = rows_of(table, locate, reading, notes)
    if photos and not any(os.path.lexists(photo.name) for photo in photos):
        raise DataError(
            f"none of the {len(photos)} files in {shown(table.name)} is there, not even {shown(photos[0].name)}",
            f"paths relative to the folder of the table, {shown(folder or '.')}, or absolute ones",
            "move the table beside the photos",
        )
    return labelled_rows(photos, table.name, Path(path).stem, FolderSource(), reading, notes)


def _with_slashes(cell: str, folder: str) -> str:
    r"""cat\1.jpg, as Windows writes it, where no file has that very name."""
    if "\\" not in cell or os.sep == "\\" or os.path.lexists(os.path.join(folder, cell)):
        return cell
    return cell.replace("\\", "/")


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {shown(path)}: {(error.strerror or '').lower()}", "a table that may be read"
        ) from error
    if len(data) > MOST_BYTES:
        raise DataError(f"{shown(path)} is larger than {MOST_BYTES >> 20} MB", "a table of photos", "split it")
    return data
