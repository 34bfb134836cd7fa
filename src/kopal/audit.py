"""What is wrong with the photos as a set. So far: files of the same content, by digest; nothing is ever removed."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from kopal.datasets import Labelled
from kopal.errors import DataError, ModelFileError

SHOWN = 3
MARK = 6
"""Bytes of a photo's sha256 that a model keeps of each photo it learned from: enough to tell, nothing to see."""


def marks(digests: Iterable[bytes]) -> str:
    """The marks of photos, sorted, as text for a model's card. A mark's own mark is itself."""
    return base64.b64encode(b"".join(sorted({digest[:MARK] for digest in digests}))).decode()


def count_marked(marked: str, digests: Iterable[bytes]) -> int:
    """How many of these photos a model with such marks has learned from. Raises `ModelFileError`."""
    found = marked_photos(marked)
    return sum(digest[:MARK] in found for digest in digests)


def marked_photos(marked: str) -> set[bytes]:
    """The marks in the text that `marks` made, one for each different photo. Raises `ModelFileError`."""
    try:
        joined = base64.b64decode(marked)
    except ValueError as error:
        raise ModelFileError(
            f"the model's list of photos that it learned from is damaged: {error}",
            "a card as kopal writes it",
            "copy the file again, or train anew with kopal train",
        ) from error
    return {joined[start : start + MARK] for start in range(0, len(joined), MARK)}


def check_different(photos: Labelled) -> None:
    """Raises `DataError` where a class of the train part has no two different photos to learn from and to test on."""
    contents: dict[int, set[bytes]] = defaultdict(set)
    for digest, label in zip(photos.digests, photos.labels, strict=True):
        contents[int(label)].add(digest)
    alike = [name for index, name in enumerate(photos.classes) if len(contents[index]) == 1]
    if alike:
        raise DataError(
            f"all photos of {', '.join(alike[:5])} are one and the same file",
            "at least two different photos in every class",
            "add photos or take the class out",
        )


def remarks(photos: Labelled) -> Iterator[str]:
    """What the owner should know of equal files: how many, which stand in two classes, which leak into the test."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(photos.digests):
        places[digest].append(index)
    twins = [found for found in places.values() if len(found) > 1]
    if not twins:
        return
    yield f"{len(photos.digests)} photos, {len(places)} different ones: equal files stay together in every split"
    torn = [found for found in twins if len({int(photos.labels[index]) for index in found}) > 1]
    if torn:
        yield f"{len(torn)} of them stand in two classes, so one label is wrong: {_examples(photos, torn)}"
    test = photos.where("test")
    leaks = [found for found in twins if test[found].any() and not test[found].all()]
    if leaks:
        count = int(np.concatenate([np.array(found)[test[found]] for found in leaks]).size)
        yield f"{count} photos of the test part are also learned from, which flatters: {_examples(photos, leaks)}"


def _examples(photos: Labelled, groups: list[list[int]]) -> str:
    listed = "; ".join(" = ".join(photos.names[index] for index in found[:2]) for found in groups[:SHOWN])
    return listed + (" …" if len(groups) > SHOWN else "")
