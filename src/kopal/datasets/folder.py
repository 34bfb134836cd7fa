"""A folder of class folders, or of `train` / `val` / `test` folders with class folders inside.

Every regular file is a candidate, whatever its name ends in: content decides later. What is not a photo by convention
(hidden files, thumbnail caches, notebooks' checkpoints) is passed over.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from kopal.datasets.dataset import Dataset, Part
from kopal.errors import DataError, UsageError
from kopal.files import shown
from kopal.images import read_bytes

IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


class FolderSource:
    """Photos that are files; a name is the file's path."""

    def read(self, name: str) -> bytes:
        """The file's content. Raises `UnreadableImage`."""
        return read_bytes(name)


def from_folder(path: str | os.PathLike[str]) -> Dataset:
    """The labelled photos under a folder. Raises `UsageError` (no such folder) and `DataError` (nothing to learn)."""
    root = Path(path)
    _check_folder(root)
    parts, notes = _parts(root)
    files: dict[Part, dict[str, list[str]]] = {}
    for part, folder in parts.items():
        files[part] = _class_files(folder, notes)
    classes = tuple(sorted({name for found in files.values() for name, paths in found.items() if paths}))
    _check_same_classes(files, root)
    if not classes:
        raise DataError(
            f"no photos in {shown(root)}",
            "one folder per class with its photos inside: photos/cat/1.jpg, photos/dog/2.jpg",
            "; ".join(notes) or "move the photos of each class into a folder of its own",
        )
    place = {name: index for index, name in enumerate(classes)}
    rows = [
        (file, place[name], part)
        for part, found in files.items()
        for name, paths in sorted(found.items())
        for file in paths
    ]
    names, labels, own = zip(*rows, strict=True)
    return Dataset(root.resolve().name or "photos", FolderSource(), classes, names, labels, own, tuple(notes))


def walk(folder: Path, root: Path | None = None) -> Iterator[str]:
    """Every file below a folder, in natural order of names (2 before 10), links followed, no loop walked twice.

    A link back to `root`, or to any folder on the way down from it, is a loop.
    """
    yield from _walk(folder, {_identity(root)} if root else set())


def _walk(folder: Path, above: set[tuple[int, int]]) -> Iterator[str]:
    here = _identity(folder)
    # Only a folder that lies above itself is a loop; the same folder linked twice side by side is not.
    if here in above:
        return
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _walk(Path(entry.path), above | {here})
        else:
            yield entry.path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: no folder, and reading it as a photo will say why
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not ignored(entry.name)]
    except OSError as error:
        raise UsageError(
            f"cannot list the folder {shown(folder)}: {(error.strerror or '').lower()}", "a folder that may be read"
        ) from error
    return sorted(kept, key=lambda entry: natural(entry.name))


def ignored(name: str) -> bool:
    """Hidden files, thumbnail caches and other droppings that nobody means as photos."""
    return name.startswith(".") or name.lower() in IGNORED


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key in which photo2 comes before photo10."""
    pieces: list[tuple[int, int, str]] = []
    for letter in name:
        if letter.isascii() and letter.isdecimal():
            if pieces and pieces[-1][0] == 0:
                pieces[-1] = (0, pieces[-1][1] * 10 + int(letter), pieces[-1][2] + letter)
            else:
                pieces.append((0, int(letter), letter))
        else:
            pieces.append((1, 0, letter))
    return tuple(pieces)


def class_name(name: str) -> str:
    """A folder's name in Unicode's composed form, so that č from macOS and č from Linux are one letter."""
    return unicodedata.normalize("NFC", name)


def _check_folder(root: Path) -> None:
    try:
        if not root.exists():
            raise UsageError(
                f"no such folder: {shown(root)}",
                "a folder with one folder of photos per class",
                "check the spelling and the folder you are in",
            )
        if not root.is_dir():
            raise UsageError(
                f"{shown(root)} is a file", "a folder with one folder of photos per class", "name the folder around it"
            )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot open {shown(root)}: {error}", "a folder that may be read") from error


def _parts(root: Path) -> tuple[dict[Part, Path], list[str]]:
    """The folder of each part. One part is all for training; of two the second is the test; of three the middle one
    calibrates.
    """
    notes: list[str] = []
    entries = _entries(root)
    folders = [entry for entry in entries if _is_folder(entry)]
    named = {entry.name: PART_NAMES[entry.name.lower()] for entry in folders if entry.name.lower() in PART_NAMES}
    has_train = any(kind == "train" and _holds_folders(root / name) for name, kind in named.items())
    if not has_train:
        loose = len(entries) - len(folders)
        if loose and folders:
            notes.append(f"{loose} file{'s' if loose > 1 else ''} beside the class folders left aside")
        return {"train": root}, notes
    if len(set(named.values())) < len(named):
        raise DataError(
            f"{shown(root)} holds {', '.join(sorted(named))}: two of them mean the same part",
            "at most one each of train, validation and test",
        )
    others = [entry.name for entry in entries if entry.name not in named]
    if others:
        notes.append(f"left aside beside the parts: {', '.join(shown(name) for name in others[:5])}")
    present = {kind: root / name for name, kind in named.items()}
    parts: dict[Part, Path] = {"train": present["train"]}
    rest = [present[kind] for kind in ("validation", "test") if kind in present]
    if len(rest) == 2:
        parts["calibration"] = rest[0]
    if rest:
        parts["test"] = rest[-1]
    return parts, notes


def _holds_folders(folder: Path) -> bool:
    entries = _entries(folder)
    return bool(entries) and any(_is_folder(entry) for entry in entries)


def _class_files(folder: Path, notes: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    for entry in _entries(folder):
        if not _is_folder(entry):
            continue
        if _holds_runs(Path(entry.path)):
            notes.append(f"{shown(entry.name)!r} holds kopal's own runs and is left aside")
            continue
        name = class_name(entry.name)
        twin = spelled.setdefault(name.casefold(), entry.name)
        if twin != entry.name:
            raise DataError(
                f"the class folders {twin!a} and {entry.name!a} ({shown(name)}) differ only by case or Unicode form",
                "class names that stay apart on every system",
                "rename one of the folders or merge the two",
            )
        found[name] = list(walk(Path(entry.path), folder))
        if not found[name]:
            notes.append(f"class folder {shown(entry.name)!r} is empty and left out")
    return found


def _holds_runs(folder: Path) -> bool:
    """A run folder, or a folder of run folders: working inside one's photos must not make a class of the results."""
    inner = [Path(entry.path) for entry in _entries(folder) if _is_folder(entry)]
    return any((place / "report.json").is_file() and (place / "model.onnx").is_file() for place in (folder, *inner))


def _check_same_classes(files: dict[Part, dict[str, list[str]]], root: Path) -> None:
    known = {name for name, paths in files["train"].items() if paths}
    for part, found in files.items():
        extra = sorted(name for name, paths in found.items() if paths and name not in known)
        if extra:
            raise DataError(
                f"the {part} part of {shown(root)} has classes that train lacks: {', '.join(map(shown, extra))}",
                f"the classes of train: {', '.join(map(shown, sorted(known))) or 'none'}",
                "give the folders of one class the same name in every part",
            )


def expand(paths: list[str]) -> Iterator[str]:
    """Files as they are, folders as the files below them; what is missing stays, and reading it will say so."""
    for path in paths:
        if os.path.isdir(path):
            yield from walk(Path(path))
        else:
            yield path
