"""The photos of a set that look most like a given one: the nearest in features, by the cosine of the angle between."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features
from kopal.datasets import Dataset, Part
from kopal.errors import DataError, UsageError
from kopal.extraction import Extraction, extract
from kopal.features import Photos
from kopal.files import shown
from kopal.images import read_bytes
from kopal.ledger import LedgerRow
from kopal.log import Log, silent

BLOCK_BYTES = 1 << 25
QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Neighbour:
    """A photo near a query. `same_file` where its bytes are those of the query."""

    name: str
    label: str
    similarity: float
    same_file: bool


@dataclass(frozen=True)
class Answer:
    """The neighbours of one query, nearest first; where it could not be read, `unreadable` says why."""

    query: str
    neighbours: tuple[Neighbour, ...]
    unreadable: str = ""


@dataclass(frozen=True)
class Similar:
    """All answers, with the sets that photos and queries can be read from, and the photos that could not be."""

    title: str
    dataset: Dataset
    queries: Dataset
    answers: tuple[Answer, ...]
    photos: int
    ledger: tuple[LedgerRow, ...]


@dataclass(frozen=True)
class QuerySource:
    """Queries are files; where there is no such file, a photo of the set that has this name."""

    dataset: Dataset

    def read(self, name: str) -> bytes:
        """The photo's bytes. Raises `UnreadableImage`."""
        if name in self.dataset.names and not os.path.lexists(name):
            return self.dataset.source.read(name)
        return read_bytes(name)


def similar(
    dataset: Dataset,
    queries: Sequence[str],
    extraction: Extraction,
    top: int = 12,
    cache: bool = True,
    log: Log = silent,
) -> Similar:
    """The `top` nearest photos of a set for each query: a path, or the name of a photo in the set.

    Raises `UsageError` where there is nothing to look for, `DataError` where no photo of the set can be read.
    """
    if top < 1:
        raise UsageError(f"--top {top}", "1 or more")
    asked = tuple(dict.fromkeys(queries))
    known = set(dataset.names)
    if not any(os.path.lexists(name) or name in known for name in asked):
        raise UsageError(
            f"no such photo: {', '.join(map(shown, asked[:5]))}" if asked else "no photo to look for",
            f"files, or names of photos in {shown(dataset.title)}, such as {shown(dataset.names[0])}",
            "check the spelling and the folder you are in",
        )
    wanted = _unlabelled(asked, QuerySource(dataset))
    photos, ledger = extract(dataset, extraction, cache, log)
    if not len(photos):
        raise DataError(f"none of the {len(dataset)} photos of {shown(dataset.title)} can be read", "photos to compare")
    found, unread = extract(wanted, extraction, cache)
    places, cosines = nearest(photos.features, found.features, top)
    answers = {row.path: Answer(row.path, (), row.reason) for row in unread}
    for name, digest, near, own in zip(found.names, found.digests, places, cosines, strict=True):
        answers[name] = Answer(name, tuple(_neighbours(photos, digest, near, own)))
    ordered = tuple(answers[name] for name in asked)
    return Similar(extraction.title, dataset, wanted, ordered, len(photos), ledger)


def _unlabelled(names: tuple[str, ...], source: QuerySource) -> Dataset:
    parts: list[Part] = ["train"] * len(names)
    return Dataset("queries", source, ("",), names, (0,) * len(names), tuple(parts))


def _neighbours(
    photos: Photos, digest: bytes, places: NDArray[np.int64], cosines: NDArray[np.float32]
) -> list[Neighbour]:
    return [
        Neighbour(
            photos.names[place], photos.classes[photos.labels[place]], float(cosine), digest == photos.digests[place]
        )
        for place, cosine in zip(places, cosines, strict=True)
    ]


def nearest(features: Features, queries: Features, top: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Features (N, D), queries (Q, D) → the rows of the nearest features and their cosines, (Q, min(top, N)) each.

    Nearest first, the lower row where two are equally near. A vector of zeros has no direction: its cosines are 0.
    A block of features at a time, so that memory does not grow with N. Raises `DataError` for numbers without bounds.
    """
    count = min(top, len(features))
    rows = max(1, BLOCK_BYTES // (4 * max(features.shape[1], QUERIES_AT_ONCE)))
    places = np.zeros((len(queries), count), np.int64)
    cosines = np.zeros((len(queries), count), np.float32)
    for first in range(0, len(queries), QUERIES_AT_ONCE):
        own = slice(first, first + QUERIES_AT_ONCE)
        asked = queries[own] / _lengths(queries[own])[:, None]
        best = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(asked)
        for start in range(0, len(features), rows):
            block = features[start : start + rows]
            near = asked @ block.T / _lengths(block)
            best = [_merged(*kept, start, row, count) for kept, row in zip(best, near, strict=True)]
        for index, (which, value) in enumerate(best, start=first):
            # Rounding may end above 1.
            places[index], cosines[index] = which, np.clip(value, -1, 1)
    return places, cosines


def _lengths(vectors: Features) -> NDArray[np.float32]:
    """(N, D) → (N,) Euclidean lengths, 1 for a vector of zeros."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not np.isfinite(lengths).all():
        raise DataError(
            "the features of a photo are not finite, or too large to compare",
            "numbers of usual size",
            "take another net or layer",
        )
    return np.where(lengths > 0, lengths, np.float32(1))


def _merged(
    places: NDArray[np.int64], values: NDArray[np.float32], start: int, row: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best so far and a block's cosines, which begin at row `start` → the best of both."""
    own = np.arange(len(row))
    if len(row) > count:
        # All that tie with the last one that counts stay in: the sort below settles them by row.
        own = np.flatnonzero(row >= np.partition(row, len(row) - count)[len(row) - count])
    places, values = np.concatenate([places, own + start]), np.concatenate([values, row[own]])
    order = np.lexsort((places, -values))[:count]
    return places[order], values[order]
