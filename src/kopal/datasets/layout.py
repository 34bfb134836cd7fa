"""What folders mean: class folders, or `train` / `val` / `test` folders with class folders inside.

Every file is a candidate, whatever its name ends in: content decides later. What is not a photo by convention (hidden
files, thumbnail caches, notebooks' checkpoints) is passed over.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import chain

from kopal.datasets.dataset import Dataset, Part, Source
from kopal.datasets.tree import Tree, entries, ignored, walk
from kopal.errors import DataError
from kopal.files import shown

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def labelled(tree: Tree, root: str, title: str, source: Source, notes: Iterable[str] = ()) -> Dataset:
    """The labelled photos below `root`; `notes` come before what is noted here. Raises `DataError`."""
    parts, left_aside = _parts(tree, root)
    notes = [*notes, *left_aside]
    files: dict[Part, dict[str, list[str]]] = {}
    for part, folder in parts.items():
        files[part] = _class_files(tree, folder, notes)
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
    return Dataset(title, source, classes, names, labels, own, tuple(notes))


def class_name(name: str) -> str:
    """A folder's name in Unicode's composed form, so that č from macOS and č from Linux are one letter."""
    return unicodedata.normalize("NFC", name)


def _parts(tree: Tree, root: str) -> tuple[dict[Part, str], list[str]]:
    """The folder of each part. One part is all for training; of two the second is the test; of three the middle one
    calibrates.
    """
    notes: list[str] = []
    found = entries(tree, root)
    folders = [entry for entry in found if entry.is_folder]
    named = [entry for entry in folders if entry.name.lower() in PART_NAMES]
    present = {PART_NAMES[entry.name.lower()]: entry.path for entry in named}
    has_train = any(PART_NAMES[entry.name.lower()] == "train" and _holds_folders(tree, entry.path) for entry in named)
    if not has_train:
        loose = len(found) - len(folders)
        if loose and folders:
            notes.append(f"{loose} file{'s' if loose > 1 else ''} beside the class folders left aside")
        return {"train": root}, notes
    if len(present) < len(named):
        raise DataError(
            f"{shown(root)} holds {', '.join(sorted(entry.name for entry in named))}: two of them mean the same part",
            "at most one each of train, validation and test",
        )
    others = [entry.name for entry in found if entry not in named]
    if others:
        notes.append(f"left aside beside the parts: {', '.join(shown(name) for name in others[:5])}")
    parts: dict[Part, str] = {"train": present["train"]}
    rest = [present[kind] for kind in ("validation", "test") if kind in present]
    if len(rest) == 2:
        parts["calibration"] = rest[0]
    if rest:
        parts["test"] = rest[-1]
    return parts, notes


def _holds_folders(tree: Tree, folder: str) -> bool:
    return any(entry.is_folder for entry in tree.entries(folder) if not ignored(entry.name))


def _class_files(tree: Tree, folder: str, notes: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    for entry in entries(tree, folder):
        if not entry.is_folder:
            continue
        if _holds_runs(tree, entry.path):
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
        found[name] = list(walk(tree, entry.path, folder))
        if not found[name]:
            notes.append(f"class folder {shown(entry.name)!r} is empty and left out")
    return found


def _holds_runs(tree: Tree, folder: str) -> bool:
    """A run folder, or a folder of run folders: working inside one's photos must not make a class of the results."""
    here = list(tree.entries(folder))
    inner = (tree.entries(entry.path) for entry in here if entry.is_folder and not ignored(entry.name))
    return any(
        {"report.json", "model.onnx"} <= {entry.name for entry in found if not entry.is_folder}
        for found in chain([here], inner)
    )


def _check_same_classes(files: dict[Part, dict[str, list[str]]], root: str) -> None:
    known = {name for name, paths in files["train"].items() if paths}
    for part, found in files.items():
        extra = sorted(name for name, paths in found.items() if paths and name not in known)
        if extra:
            raise DataError(
                f"the {part} part of {shown(root)} has classes that train lacks: {', '.join(map(shown, extra))}",
                f"the classes of train: {', '.join(map(shown, sorted(known))) or 'none'}",
                "give the folders of one class the same name in every part",
            )
