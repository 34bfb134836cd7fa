"""One pass over the photos for models that learn from pixels: uint8 at one geometry, and the files that are bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal import images
from kopal.arrays import Labels, Pixels
from kopal.datasets import Dataset, Part
from kopal.errors import UnreadableImage
from kopal.images import Geometry
from kopal.ledger import LedgerRow, ledger_row
from kopal.parallel import chunks, ordered

CHUNK = 64
LOOKED_AT = 64


@dataclass(frozen=True)
class PixelPhotos:
    """The readable photos of a set, row by row the same photo: pixels (N, H, W, C), labels (N,), parts, digests."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Labels
    parts: NDArray[np.str_]
    digests: tuple[bytes, ...]
    pixels: Pixels

    def __len__(self) -> int:
        return len(self.names)

    def where(self, part: Part) -> NDArray[np.bool_]:
        """(N,): which photos are in a part."""
        return np.asarray(self.parts == part)


def native_shape(dataset: Dataset) -> tuple[int, int, int] | None:
    """The size (H, W, C) that most photos of a sample have, or None where none can be read. Grey only if all are."""
    shapes = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, LOOKED_AT).astype(int)):
        try:
            image = images.decode(dataset.read(int(index)))
        except UnreadableImage:
            continue
        shapes.append((image.height, image.width, 1 if image.mode == "L" else 3))
    if not shapes:
        return None
    height, width = max(sizes := [shape[:2] for shape in shapes], key=sizes.count)
    return height, width, max(shape[2] for shape in shapes)


def read_pixels(
    dataset: Dataset, geometry: Geometry, progress: Callable[[int, int], None] = lambda done, of: None
) -> tuple[PixelPhotos, tuple[LedgerRow, ...]]:
    """Every photo of a set → pixels at one geometry, and the ledger of what could not be read."""
    pixels = np.empty((len(dataset), *geometry.shape), np.uint8)
    kept: list[int] = []
    digests: list[bytes] = []
    ledger: list[LedgerRow] = []
    for batch, results in ordered(
        lambda batch: (batch, _read_chunk(dataset, batch, geometry)), chunks(range(len(dataset)), CHUNK)
    ):
        for index, result in zip(batch, results, strict=True):
            if isinstance(result, LedgerRow):
                ledger.append(result)
                continue
            digest, pixels[len(kept)] = result
            kept.append(index)
            digests.append(digest)
        progress(batch[-1] + 1, len(dataset))
    photos = PixelPhotos(
        dataset.classes,
        tuple(dataset.names[index] for index in kept),
        np.array([dataset.labels[index] for index in kept], np.int64),
        np.array([dataset.parts[index] for index in kept], np.str_),
        tuple(digests),
        pixels[: len(kept)],
    )
    return photos, tuple(ledger)


def _read_chunk(dataset: Dataset, batch: Sequence[int], geometry: Geometry) -> list[tuple[bytes, Pixels] | LedgerRow]:
    results: list[tuple[bytes, Pixels] | LedgerRow] = []
    for index in batch:
        data = b""
        try:
            data = dataset.read(index)
            results.append((hashlib.sha256(data).digest(), images.read(data, geometry)))
        except UnreadableImage as error:
            results.append(ledger_row(dataset, index, data, error))
    return results
