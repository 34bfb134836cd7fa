"""A folder on disk as a labelled set, and the files that paths on the command line stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kopal.datasets.dataset import Dataset
from kopal.datasets.layout import labelled
from kopal.datasets.metadata import with_metadata
from kopal.datasets.reading import Reading
from kopal.datasets.tree import Entry, walk
from kopal.errors import UsageError
from kopal.files import shown
from kopal.images import read_bytes

EXPECTED = "a folder with one folder of photos per class, such a folder as .zip, .tar or .tar.gz, or a table of photos"
LONGEST_SHOWN = 500
"""Letters of a folder's path: one that is too long for the system need not fill the screen."""


class FolderSource:
    """Photos that are files; a name is the file's path."""

    def read(self, name: str) -> bytes:
        """The file's content. Raises `UnreadableImage`."""
        return read_bytes(name)


class FolderTree:
    """Folders on disk, links followed."""

    def entries(self, folder: str) -> list[Entry]:
        """All that stands in a folder. Raises `UsageError`."""
        try:
            with os.scandir(folder) as found:
                return [_entry(item) for item in found]
        except OSError as error:
            raise _unlisted(folder, error) from error

    def identity(self, folder: str) -> tuple[int, int]:
        """The folder's number on its device: links to one folder have the same. Raises `UsageError`."""
        try:
            status = os.stat(folder)
        except OSError as error:
            raise _unlisted(folder, error) from error
        return status.st_dev, status.st_ino


def from_folder(path: str | os.PathLike[str], reading: Reading = Reading()) -> Dataset:  # noqa: B008 - frozen
    """The labelled photos under a folder. Raises `UsageError` (no such folder) and `DataError` (nothing to learn)."""
    root = Path(path)
    _check_folder(root)
    tree, source, title = FolderTree(), FolderSource(), root.resolve().name or "photos"
    notes: list[str] = []
    found = with_metadata(tree, str(root), title, source, notes, reading)
    return found or labelled(tree, str(root), title, source, notes, reading)


def _unlisted(folder: str, error: OSError) -> UsageError:
    name = folder if len(folder) <= LONGEST_SHOWN else f"{folder[:LONGEST_SHOWN]}…"
    return UsageError(
        f"cannot list the folder {shown(name)}: {(error.strerror or '').lower()}", "a folder that may be read"
    )


def _entry(item: os.DirEntry[str]) -> Entry:
    try:
        is_folder = item.is_dir()
    except OSError:  # a link to itself: no folder, and reading it as a photo will say why
        is_folder = False
    return Entry(item.name, str(Path(item.path)) if is_folder else item.path, is_folder)


def _check_folder(root: Path) -> None:
    try:
        if not root.exists():
            raise UsageError(f"no such folder: {shown(root)}", EXPECTED, "check the spelling and the folder you are in")
        if not root.is_dir():
            raise UsageError(f"{shown(root)} is a file", EXPECTED, "name the folder around it")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot open {shown(root)}: {error}", "a folder that may be read") from error


def expand(paths: list[str]) -> Iterator[str]:
    """Files as they are, folders as the files below them; what is missing stays, and reading it will say so."""
    for path in paths:
        if os.path.isdir(path):
            yield from walk(FolderTree(), str(Path(path)))
        else:
            yield path
