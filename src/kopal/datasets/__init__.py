"""Labelled sets as manifests, from a folder, from an archive or by name. Pixels are read later, once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from kopal.datasets.archive import from_archive, is_archive
from kopal.datasets.dataset import FEWEST, PARTS, Dataset, Labelled, Part, Source, check_learnable
from kopal.datasets.folder import expand, from_folder
from kopal.datasets.named import NAMED, fashion_mnist_folder

__all__ = [
    "FEWEST",
    "NAMED",
    "PARTS",
    "Dataset",
    "Labelled",
    "Part",
    "Source",
    "check_learnable",
    "expand",
    "fashion_mnist_folder",
    "from_archive",
    "from_folder",
    "open_dataset",
]


def open_dataset(data: str | os.PathLike[str]) -> Dataset:
    """A folder of photos, an archive of one, or one of the names in `NAMED` where nothing of that name stands here."""
    if isinstance(data, str) and data in NAMED and not os.path.exists(data):
        return replace(NAMED[data](), origin=data)
    return replace(from_archive(data) if is_archive(data) else from_folder(data), origin=str(Path(data)))
