"""One pass over the photos: each is read and decoded once; features, small pixels and bad files come from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kopal import images
from kopal.arrays import Features, Labels, Pixels
from kopal.backends.onnx_backend import feature_model
from kopal.classifier import BATCH
from kopal.datasets import Dataset, Part
from kopal.errors import UnreadableImage
from kopal.images import Geometry
from kopal.ledger import LedgerRow, ledger_row
from kopal.looks import LOOK, Album, Looks, look
from kopal.nets.describe import output_shape
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.parallel import ordered
from kopal.runtime import run_session, session
from kopal.splits import together
from kopal.store import Store

IMAGENET = 1000
"""The classes of a head that can be asked whether it knows the photos."""
Head: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
SMALL_SIDE = images.FULL_SIDE
"""Photos natively at most this wide and high are also kept as they are, for a model on raw pixels."""


class Extractor(Protocol):
    """What turns pixels into features; `context` is the digest of all that makes the numbers."""

    @property
    def geometry(self) -> Geometry:
        """How a photo becomes the pixels that it takes."""
        ...

    @property
    def dimension(self) -> int:
        """D, the numbers of one photo."""
        ...

    @property
    def context(self) -> bytes:
        """The digest under which the store keeps them."""
        ...

    def features(self, pixels: Pixels) -> Features:
        """Pixels uint8 (N, H, W, C) → features float32 (N, D)."""
        ...


@final
class Backbone:
    """A frozen net that turns pixels into features; `context` is the digest of all that makes the numbers.

    `origin` says in words where the weights come from, for whoever reads the model file; `digest` is the graph's.
    `head`, weight (1000, D) and bias (1000,), is the head of ImageNet's classes that the weights came with, if any.
    """

    def __init__(
        self,
        net: Net,
        weights: Weights,
        geometry: Geometry,
        origin: Mapping[str, str] = MappingProxyType({}),
        head: Head | None = None,
    ) -> None:
        self.net = net
        self.weights = weights
        self.geometry = geometry
        self.origin = origin
        self.head = head
        self.dimension = output_shape(net)[0]
        graph = feature_model(net, weights).SerializeToString(deterministic=True)
        self.digest = hashlib.sha256(graph).hexdigest()
        self.context = context_of(graph, geometry)
        self._session = session(graph)

    def features(self, pixels: Pixels) -> Features:
        """Pixels uint8 (N, H, W, C) → features float32 (N, D)."""
        return run_session(self._session, pixels, self.geometry)[0]


def context_of(graph: bytes, geometry: Geometry) -> bytes:
    """The digest of a graph and of how it sees a photo: whatever has the same gives the same numbers."""
    how = json.dumps(geometry.as_json(), sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(graph).digest() + how).digest()


@dataclass(frozen=True)
class Photos:
    """The readable photos of a set, row by row the same: names, labels, parts, digests, groups, features (N, D).

    `small` holds the photos as (H, W) or (H, W, 3) uint8 where every one of them is small, else None. `looks` are
    there where an audit asked for them.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Labels
    parts: NDArray[np.str_]
    digests: tuple[bytes, ...]
    groups: NDArray[np.int64]
    features: Features
    small: tuple[Pixels, ...] | None
    looks: Looks | None = None

    def __len__(self) -> int:
        return len(self.names)

    def where(self, part: Part) -> NDArray[np.bool_]:
        """(N,): which photos are in a part."""
        return np.asarray(self.parts == part)


def read(
    dataset: Dataset,
    extractor: Extractor,
    store: Store | None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    album: Album | None = None,
) -> tuple[Photos, tuple[LedgerRow, ...]]:
    """Every photo of a set → features, computed or from the store, and the ledger of what could not be read.

    Given an album, also the look of each.

    Workers each read, decode and multiply a batch of their own: see benchmarks/features.py. A batch is kept as soon
    as it is computed, so a crash costs the batches in flight.
    """
    total = len(dataset)
    features = np.empty((total, extractor.dimension), np.float32)
    looks = np.zeros(total if album else 0, LOOK)
    kept: list[int] = []
    digests: list[bytes] = []
    small: list[Pixels] = []
    ledger: list[LedgerRow] = []
    batches = (range(start, min(start + BATCH, total)) for start in range(0, total, BATCH))
    for indices, results in ordered(
        lambda batch: (batch, _read_batch(dataset, batch, extractor, store, album)), batches
    ):
        for index, result in zip(indices, results, strict=True):
            if isinstance(result, LedgerRow):
                ledger.append(result)
                continue
            features[len(kept)] = result.features
            if album:
                looks[len(kept)] = result.look
            kept.append(index)
            digests.append(result.digest)
            # One larger photo settles it: from there on no small pixels are held in memory.
            if result.small is not None and len(small) == len(kept) - 1:
                small.append(result.small)
            else:
                small.clear()
        progress(indices[-1] + 1, total)
    photos = Photos(
        dataset.classes,
        tuple(dataset.names[index] for index in kept),
        np.array([dataset.labels[index] for index in kept], np.int64),
        np.array([dataset.parts[index] for index in kept], np.str_),
        tuple(digests),
        together(digests, dataset.groups_at(kept)),
        features[: len(kept)],
        tuple(small) if kept and len(small) == len(kept) else None,
        looks[: len(kept)] if album else None,
    )
    return photos, tuple(ledger)


@dataclass(frozen=True)
class _Read:
    digest: bytes
    features: Features
    small: Pixels | None
    look: np.void | None


def _read_batch(
    dataset: Dataset, batch: Sequence[int], extractor: Extractor, store: Store | None, album: Album | None
) -> list[_Read | LedgerRow]:
    opened: dict[int, bytes] = {}
    bad: dict[int, LedgerRow] = {}
    for index in batch:
        try:
            opened[index] = dataset.read(index)
        except UnreadableImage as error:
            bad[index] = ledger_row(dataset, index, b"", error)
    digests = {index: hashlib.sha256(data).digest() for index, data in opened.items()}
    known = store.get(list(digests.values())) if store else {}
    seen = album.get(list(digests.values())) if album else {}
    new: dict[bytes, np.void] = {}
    small: dict[int, Pixels] = {}
    missing: dict[bytes, Pixels] = {}
    for index, data in opened.items():
        digest = digests[index]
        complete = digest in known and (album is None or digest in seen)
        try:
            if complete and images.longest_side(data) > SMALL_SIDE:
                continue
            image, facts = images.examine(data, extractor.geometry)
        except UnreadableImage as error:
            bad[index] = ledger_row(dataset, index, data, error)
            continue
        if max(image.size) <= SMALL_SIDE:
            small[index] = np.asarray(image)
        if complete:
            continue
        pixels = images.fit(image, extractor.geometry)
        if digest not in known:
            missing[digest] = pixels
        if album and digest not in seen:
            new[digest] = look(image, pixels, facts, len(data))
    if album:
        album.put(new)
        seen = {**seen, **new}
    if missing:
        computed = dict(zip(missing, extractor.features(np.stack(list(missing.values()))), strict=True))
        if store:
            store.put(computed)
        known = {**known, **computed}
    return [
        bad[index]
        if index in bad
        else _Read(digests[index], known[digests[index]], small.get(index), seen.get(digests[index]))
        for index in batch
    ]


def small_pixels(photos: Photos) -> tuple[Pixels, Geometry] | None:
    """Small photos as one array of pixels (N, H, W, C) and its geometry: the size that most of them have.

    None where the photos are not all small. Grey only if every photo is grey.
    """
    if photos.small is None:
        return None
    sizes, counts = np.unique([image.shape[:2] for image in photos.small], axis=0, return_counts=True)
    height, width = (int(side) for side in sizes[counts.argmax()])
    geometry = Geometry(height, width, 1 if all(image.ndim == 2 for image in photos.small) else 3)
    return np.stack([images.fit(Image.fromarray(image), geometry) for image in photos.small]), geometry
