"""What folders mean: class folders, or `train` / `val` / `test` folders with class folders inside; or where the class
stands in the files' names, folders of any kind.

Every file is a candidate, whatever its name ends in: content decides later. What is not a photo by convention (hidden
files, thumbnail caches, notebooks' checkpoints) is passed over.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from kopal.datasets.dataset import Dataset, Part, Source
from kopal.datasets.groups import grouped
from kopal.datasets.reading import OfPath, Reading, relative
from kopal.datasets.tree import Tree, entries, ignored, walk
from kopal.errors import DataError
from kopal.files import shown, some

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def labelled(
    tree: Tree,
    root: str,
    title: str,
    source: Source,
    notes: Iterable[str] = (),
    reading: Reading = Reading(),  # noqa: B008 - frozen
) -> Dataset:
    """The labelled photos below `root`; `notes` come before what is noted here. Raises `DataError`."""
    label_of, group_of = reading.label_of(), reading.group_of()
    parts, left_aside = _parts(tree, root, flat=label_of is not None)
    given = list(notes)
    notes = [*given, *left_aside]
    files: dict[Part, dict[str, list[str]]] = {}
    if label_of is None:
        for part, folder in parts.items():
            files[part] = _class_files(tree, folder, notes)
    else:
        files = _named_files(tree, root, parts, label_of, notes)
    rows = [
        (file, name, part) for part, found in files.items() for name, paths in sorted(found.items()) for file in paths
    ]
    if not rows and reading.unlabelled and label_of is None:
        notes = given
        rows = [(file, "", "train") for file in _files(tree, root, notes)]
    if not rows:
        raise DataError(
            f"no photos in {shown(root)}",
            "one folder per class with its photos inside: photos/cat/1.jpg, photos/dog/2.jpg",
            "; ".join(notes)
            or "move the photos of each class into a folder of its own, or where their names begin "
            "with the class, as cat_001.jpg, add --labels-from prefix",
        )
    dataset = assemble(title, source, rows, notes, root)
    if group_of is None:
        return dataset
    return grouped(dataset, [group_of(relative(name, root)) for name in dataset.names])


def assemble(
    title: str, source: Source, rows: Sequence[tuple[str, str, Part]], notes: Iterable[str], where: str
) -> Dataset:
    """(name, class, part) of each photo → the set; `where` they are named, for errors. Raises `DataError`."""
    found: dict[Part, set[str]] = {}
    for _, label, part in rows:
        found.setdefault(part, set()).add(label)
    _check_same_classes(found, where)
    classes = tuple(sorted(set().union(*found.values())))
    _check_spelling(classes, where)
    place = {name: index for index, name in enumerate(classes)}
    names, labels, own = zip(*((name, place[label], part) for name, label, part in rows), strict=True)
    return Dataset(title, source, classes, names, labels, own, tuple(notes))


def parts_of(kinds: Collection[str]) -> dict[str, Part]:
    """What the words train, validation and test mean together: of two the second is the test, whatever its name; of
    three the middle one calibrates.
    """
    parts: dict[str, Part] = {"train": "train"} if "train" in kinds else {}
    rest = [kind for kind in ("validation", "test") if kind in kinds]
    if len(rest) == 2:
        parts[rest[0]] = "calibration"
    if rest:
        parts[rest[-1]] = "test"
    return parts


def class_name(name: str) -> str:
    """A folder's name in Unicode's composed form, so that č from macOS and č from Linux are one letter."""
    return unicodedata.normalize("NFC", name)


def _parts(tree: Tree, root: str, flat: bool) -> tuple[dict[Part, str], list[str]]:
    """The folder of each part; one part is all for training. In a `flat` set they need hold no class folders."""
    notes: list[str] = []
    found = entries(tree, root)
    folders = [entry for entry in found if entry.is_folder]
    named = [entry for entry in folders if entry.name.lower() in PART_NAMES]
    present = {PART_NAMES[entry.name.lower()]: entry.path for entry in named}
    has_train = any(
        PART_NAMES[entry.name.lower()] == "train" and (flat or _holds_folders(tree, entry.path)) for entry in named
    )
    if not has_train:
        loose = len(found) - len(folders)
        if loose and folders and not flat:
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
    return {part: present[kind] for kind, part in parts_of(present).items()}, notes


def _holds_folders(tree: Tree, folder: str) -> bool:
    return any(entry.is_folder for entry in tree.entries(folder) if not ignored(entry.name))


def _class_files(tree: Tree, folder: str, notes: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    for entry in entries(tree, folder):
        if not entry.is_folder:
            continue
        if _holds_runs(tree, entry.path):
            notes.append(_runs(entry.name))
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


def _named_files(
    tree: Tree, root: str, parts: Mapping[Part, str], label_of: OfPath, notes: list[str]
) -> dict[Part, dict[str, list[str]]]:
    """The files of each part by the class that their names say, wherever they lie in it. Raises `DataError`."""
    files: dict[Part, dict[str, list[str]]] = {}
    silent: list[str] = []
    total = 0
    for part, folder in parts.items():
        own = files.setdefault(part, {})
        for file in _files(tree, folder, notes):
            total += 1
            label = label_of(relative(file, root))
            if label is None:
                silent.append(relative(file, root))
            else:
                own.setdefault(class_name(label), []).append(file)
    examples = ", ".join(map(shown, silent[:3])) + (" …" if len(silent) > 3 else "")
    if 2 * len(silent) > total:
        raise DataError(
            f"the names of {len(silent)} of {total} files in {shown(root)} do not say a class: {examples}",
            "names that --labels-from finds a class in: prefix, as in cat_001.jpg, or your own regular expression",
            "look at its one group in parentheses, which is searched for in the path below the folder",
        )
    if silent:
        notes.append(f"{len(silent)} files left aside, whose names do not say a class: {examples}")
    return files


def _files(tree: Tree, folder: str, notes: list[str]) -> Iterable[str]:
    for entry in entries(tree, folder):
        if not entry.is_folder:
            yield entry.path
        elif _holds_runs(tree, entry.path):
            notes.append(_runs(entry.name))
        else:
            yield from walk(tree, entry.path, folder)


def _runs(name: str) -> str:
    return f"{shown(name)!r} holds kopal's own runs and is left aside"


def _holds_runs(tree: Tree, folder: str) -> bool:
    """A run folder, or a folder of run folders: working inside one's photos must not make a class of the results."""
    here = list(tree.entries(folder))
    inner = (tree.entries(entry.path) for entry in here if entry.is_folder and not ignored(entry.name))
    return any(
        {"report.json", "model.onnx"} <= {entry.name for entry in found if not entry.is_folder}
        for found in chain([here], inner)
    )


def _check_same_classes(found: Mapping[Part, Collection[str]], where: str) -> None:
    known = found.get("train", ())
    for part, classes in found.items():
        extra = sorted(name for name in classes if name not in known)
        if extra and known:
            raise DataError(
                f"the {part} part of {shown(where)} has classes that train lacks: {some(extra)}",
                f"the classes of train: {some(sorted(known))}",
                "give one class the same name in every part",
            )


def _check_spelling(classes: Sequence[str], where: str) -> None:
    spelled: dict[str, str] = {}
    for name in classes:
        twin = spelled.setdefault(name.casefold(), name)
        if twin != name:
            raise DataError(
                f"the classes {shown(twin)!r} and {shown(name)!r} in {shown(where)} differ only by case",
                "class names that stay apart on every system",
                "write them alike",
            )
