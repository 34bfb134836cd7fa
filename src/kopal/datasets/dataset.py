"""The manifest of a labelled set: names, labels, classes, parts. Never pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels
from kopal.datasets.reading import Reading
from kopal.errors import DataError

Part: TypeAlias = Literal["train", "calibration", "test"]
FEWEST = 2
"""Photos that a class must have: one to learn from while the other is judged."""
PARTS: tuple[Part, ...] = ("train", "calibration", "test")


class Source(Protocol):
    """Where a set's files come from; the one seam between a folder, an archive and a set in memory."""

    def read(self, name: str) -> bytes:
        """The bytes of one photo. Raises `UnreadableImage`."""
        ...


class Labelled(Protocol):
    """The readable photos of a set, whatever was made of their pixels: row by row the same photo."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Each photo's path."""
        ...

    @property
    def labels(self) -> Labels:
        """(N,): each photo's place in `classes`."""
        ...

    @property
    def parts(self) -> NDArray[np.str_]:
        """(N,): the part each photo is in."""
        ...

    @property
    def digests(self) -> tuple[bytes, ...]:
        """sha256 of each photo's content."""
        ...

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,): the group of each photo; no split separates photos of one group. Equal files are of one group."""
        ...

    def where(self, part: Part) -> NDArray[np.bool_]:
        """(N,): which photos are in a part."""
        ...


@dataclass(frozen=True)
class Dataset:
    """`names[i]` is a photo's path, `labels[i]` its place in `classes`, `parts[i]` the part that its owner put it in.

    `title` names the set on screen and in file names, `notes` tells its owner what was left aside. `groups[i]`, if the
    owner said so, is what the photo shares with others, an animal, a patient, a film; None with none. `origin` is what
    the set was opened by, as it was typed: a path, with which a folder's names begin, or a name of `NAMED`. `reading`
    is how it was read, `review` the name of the list by which photos were then left out or given another class.
    """

    title: str
    source: Source
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    groups: tuple[str | None, ...] = ()
    origin: str = ""
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    review: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes:
        """The bytes of photo `index`. Raises `UnreadableImage`."""
        return self.source.read(self.names[index])

    def groups_at(self, indices: Sequence[int]) -> list[str | None]:
        """What the photos at these places share with others, as their owner said."""
        return [self.groups[index] if self.groups else None for index in indices]

    def counts(self, part: Part | None = None) -> list[int]:
        """Photos per class, in all parts or in one."""
        found = Counter(label for label, own in zip(self.labels, self.parts, strict=True) if part in (None, own))
        return [found[label] for label in range(len(self.classes))]

    def has(self, part: Part) -> bool:
        """Whether any photo is in that part."""
        return part in self.parts

    def only(self, part: Part) -> Dataset:
        """The photos of one part, classes unchanged."""
        return self.sample([index for index, own in enumerate(self.parts) if own == part])

    def sample(self, indices: Sequence[int]) -> Dataset:
        """The photos at these places, classes unchanged."""
        return Dataset(
            self.title,
            self.source,
            self.classes,
            tuple(self.names[index] for index in indices),
            tuple(self.labels[index] for index in indices),
            tuple(self.parts[index] for index in indices),
            self.notes,
            tuple(self.groups[index] for index in indices) if self.groups else (),
            self.origin,
            self.reading,
            self.review,
        )


def check_learnable(classes: Sequence[str], counts: Sequence[int], what: str = "photos") -> None:
    """Raises `DataError` unless there are two classes or more, with two photos or more each."""
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class folders"
        raise DataError(
            f"found {found}", "two classes or more", "put the photos of each class into a folder of its own"
        )
    small = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < FEWEST]
    if small:
        raise DataError(
            f"too few {what} in {', '.join(small[:10])}{' …' if len(small) > 10 else ''}",
            "at least 2 in every class",
            "add photos or take the class out",
        )
