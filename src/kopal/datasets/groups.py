"""What photos share with others, an animal, a patient, a film: said by their owner, separated by no split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kopal.datasets.dataset import Dataset
from kopal.errors import DataError
from kopal.files import shown

SHOWN = 3


def grouped(dataset: Dataset, groups: Sequence[str | None]) -> Dataset:
    """The set with the group of each photo, and what its owner should know of them. Raises `DataError` for none."""
    if not any(groups):
        raise DataError(
            f"--group finds no group in any of the {len(dataset)} photos of {shown(dataset.title)}",
            "something that photos have in common",
            f"it is searched for in paths such as {shown(dataset.names[0])}",
        )
    dataset = replace(dataset, groups=tuple(groups))
    return replace(dataset, notes=(*dataset.notes, *_notes(dataset)))


def check_groups(dataset: Dataset) -> None:
    """Raises `DataError` for a class whose photos to learn from are all of one group: none is left to judge it by."""
    found: dict[int, set[str | int]] = defaultdict(set)
    for index, (label, part) in enumerate(zip(dataset.labels, dataset.parts, strict=True)):
        if part == "train" and dataset.groups:
            group = dataset.groups[index]
            found[label].add(index if group is None else group)
    for label, own in found.items():
        only = next(iter(own))
        if len(own) == 1 and isinstance(only, str):
            raise DataError(
                f"all photos of class {shown(dataset.classes[label])} are of one group, {shown(only)}: "
                "what is learned from them cannot be judged by them",
                "at least two groups in every class",
                "add photos of another group, take the class out, or leave out the groups",
            )


def _notes(dataset: Dataset) -> Iterator[str]:
    known = [group for group in dataset.groups if group is not None]
    alone = len(dataset) - len(known)
    rest = f"; {alone} photos are of none" if alone else ""
    yield f"{len(known)} photos in {len(set(known))} groups, which no split separates{rest}"
    learned = {group for group, part in zip(dataset.groups, dataset.parts, strict=True) if part == "train"}
    held = Counter(
        group
        for group, part in zip(dataset.groups, dataset.parts, strict=True)
        if part != "train" and group is not None and group in learned
    )
    if held:
        examples = ", ".join(shown(group) for group in list(held)[:SHOWN]) + (" …" if len(held) > SHOWN else "")
        yield (
            f"{len(held)} groups stand on both sides of the parts as given, {sum(held.values())} photos of them "
            f"outside train, which flatters: {examples}"
        )
