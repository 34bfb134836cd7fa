"""One pass over the photos for models that learn from pixels: uint8 at one geometry, and the files that are bad."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal import images
from kopal.arrays import Labels, Pixels
from kopal.datasets import Dataset, Part
from kopal.errors import OutputError, UnreadableImage
from kopal.images import FULL_SIDE, Geometry
from kopal.ledger import LedgerRow, ledger_row
from kopal.looks import LOOK, Album, Looks, look
from kopal.parallel import chunks, ordered
from kopal.splits import together
from kopal.store import Store, cache_folder

CHUNK = 64
LOOKED_AT = 64
IN_MEMORY = 2 << 30
"""Bytes of pixels that are held in memory; more are mapped from a file, which the system keeps in memory as it can."""

DECODER = 1
"""Raised whenever the decoder or the resizing gives other pixels, so that kept ones are not taken for today's."""


@dataclass(frozen=True)
class PixelPhotos:
    """The readable photos of a set, row by row the same: names, labels, parts, digests, groups, pixels (N, H, W, C).

    `looks` are there where an audit asked for them.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Labels
    parts: NDArray[np.str_]
    digests: tuple[bytes, ...]
    groups: NDArray[np.int64]
    pixels: Pixels
    geometry: Geometry
    looks: Looks | None = None

    def __len__(self) -> int:
        return len(self.names)

    def where(self, part: Part) -> NDArray[np.bool_]:
        """(N,): which photos are in a part."""
        return np.asarray(self.parts == part)


def sampled_shapes(dataset: Dataset) -> list[tuple[int, int, int]]:
    """The sizes (H, W, C) of those photos of a sample that can be read."""
    shapes = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, LOOKED_AT).astype(int)):
        try:
            image = images.decode(dataset.read(int(index)))
        except UnreadableImage:
            continue
        shapes.append((image.height, image.width, 1 if image.mode == "L" else 3))
    return shapes


def native_shape(shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int] | None:
    """The size (H, W, C) that most photos of a sample have, or None where there are none. Grey only if all are."""
    if not shapes:
        return None
    height, width = max(sizes := [shape[:2] for shape in shapes], key=sizes.count)
    return height, width, max(shape[2] for shape in shapes)


def pixel_context(geometry: Geometry) -> bytes:
    """What makes a photo's pixels, as a digest for the store: the decoder and the geometry."""
    return hashlib.sha256(json.dumps(["pixels", DECODER, geometry.as_json()], sort_keys=True).encode()).digest()


def read_pixels(
    dataset: Dataset,
    geometry: Geometry,
    store: Store | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    album: Album | None = None,
) -> tuple[PixelPhotos, tuple[LedgerRow, ...]]:
    """Every photo of a set → pixels at one geometry, decoded or from the store, and the ledger of unreadable files.

    The pixels of small photos are made faster than they are found, so only larger ones are kept. Given an album, also
    the look of each.
    """
    if max(geometry.height, geometry.width) <= FULL_SIDE:
        store, album = None, Album() if album else None
    pixels = _room((len(dataset), *geometry.shape))
    looks = np.zeros(len(dataset) if album else 0, LOOK)
    kept: list[int] = []
    digests: list[bytes] = []
    ledger: list[LedgerRow] = []
    for batch, results in ordered(
        lambda batch: (batch, _read_chunk(dataset, batch, geometry, store, album)), chunks(range(len(dataset)), CHUNK)
    ):
        for index, result in zip(batch, results, strict=True):
            if isinstance(result, LedgerRow):
                ledger.append(result)
                continue
            digest, pixels[len(kept)], own = result
            if album:
                looks[len(kept)] = own
            kept.append(index)
            digests.append(digest)
        progress(batch[-1] + 1, len(dataset))
    photos = PixelPhotos(
        dataset.classes,
        tuple(dataset.names[index] for index in kept),
        np.array([dataset.labels[index] for index in kept], np.int64),
        np.array([dataset.parts[index] for index in kept], np.str_),
        tuple(digests),
        together(digests, dataset.groups_at(kept)),
        pixels[: len(kept)],
        geometry,
        looks[: len(kept)] if album else None,
    )
    return photos, tuple(ledger)


_Read: TypeAlias = tuple[bytes, Pixels, np.void | None]


def _read_chunk(
    dataset: Dataset, batch: Sequence[int], geometry: Geometry, store: Store | None, album: Album | None
) -> list[_Read | LedgerRow]:
    opened: dict[int, bytes] = {}
    results: dict[int, _Read | LedgerRow] = {}
    for index in batch:
        try:
            opened[index] = dataset.read(index)
        except UnreadableImage as error:
            results[index] = ledger_row(dataset, index, b"", error)
    digests = {index: hashlib.sha256(data).digest() for index, data in opened.items()}
    known = store.get(list(digests.values())) if store else {}
    seen = album.get(list(digests.values())) if album else {}
    new: dict[bytes, Pixels] = {}
    looked: dict[bytes, np.void] = {}
    for index, data in opened.items():
        digest = digests[index]
        if digest not in known or (album and digest not in seen):
            try:
                image, facts = images.examine(data, geometry)
            except UnreadableImage as error:
                results[index] = ledger_row(dataset, index, data, error)
                continue
            known[digest] = new[digest] = images.fit(image, geometry)
            if album:
                seen[digest] = looked[digest] = look(image, new[digest], facts, len(data))
        results[index] = digest, known[digest].reshape(geometry.shape), seen.get(digest)
    if store:
        store.put(new)
    if album:
        album.put(looked)
    return [results[index] for index in batch]


def _room(shape: tuple[int, ...]) -> Pixels:
    """An array to fill: in memory, or where it is too large for that in an unnamed file of the cache folder."""
    if prod(shape) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # the map keeps it open for itself
            if hasattr(os, "posix_fallocate"):
                # A full disk must be an error here: found out while a page is written, it would end the process.
                os.posix_fallocate(file.fileno(), 0, prod(shape))
            return np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"no room for {prod(shape) / 1e9:.1f} GB of pixels in {folder}: {(error.strerror or str(error)).lower()}",
            "a cache folder with that much space",
            "free some space, say where with KOPAL_CACHE, or take a smaller --image-size",
        ) from error
