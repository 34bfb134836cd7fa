"""Features for any purpose: which net they come from and where it is cut, and all photos of a set sent through it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Pixels
from kopal.backends.onnx_head import before_head
from kopal.classifier import Classifier
from kopal.datasets import Dataset
from kopal.errors import DataError, UsageError, WeightsError
from kopal.features import Backbone, Extractor, Photos, context_of, read
from kopal.fit.backbones import backbone_of, geometry_of, pretrained_net
from kopal.fit.engine import start
from kopal.fit.foreign import is_foreign
from kopal.images import Geometry
from kopal.ledger import LedgerRow
from kopal.log import Log, Note, Progress, silent
from kopal.model_file import golden_pixels
from kopal.nets.describe import Shape, output_shape, parameter_shapes
from kopal.nets.layers import Flatten, GlobalAvgPool
from kopal.nets.net import Net
from kopal.nets.places import cut_at
from kopal.nets.registry import build
from kopal.recipes import STARTS, Recipe, is_file
from kopal.runtime import run_session, session
from kopal.store import Store, cache_folder

DEFAULT_NET = "efficientnet-lite0"

MOST_BYTES = 2 << 30
"""Bytes of features that are held in memory at once."""


@dataclass(frozen=True)
class Extraction:
    """Features with their origin: `title` in words, `shape` of one image where they are taken, before it was made flat.

    `about` is the same as plain values, for those who find the numbers later.
    """

    extractor: Extractor
    title: str
    shape: Shape
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def in_words(self) -> str:
        """Such as "vgg16 at pool5: 512 x 7 x 7, flattened to 25088 numbers"."""
        size, found = " x ".join(map(str, self.shape)), self.extractor.dimension
        if len(self.shape) == 1:
            return f"{self.title}: {found} numbers"
        how = "the mean of each plane," if found < prod(self.shape) else "flattened to"
        return f"{self.title}: {size}, {how} {found} numbers"


def of_net(
    net: str = DEFAULT_NET,
    at: str | None = None,
    pool: bool = False,
    weights: str = "auto",
    seed: int = 0,
    download: bool = False,
    log: Log = silent,
) -> Extraction:
    """What a net says of a photo at one of its layers, or before its head.

    Where that is an image (C, H, W) it is flattened, or with `pool` averaged to C numbers. `weights` are published
    ones ("auto", "imagenet"; fetched only where `download` says so), a file's, or "none", random by `seed`: to look at
    shapes and to compare with. Raises `UsageError` and `WeightsError`.
    """
    if is_foreign(net):
        return _of_foreign(net, at, pool, weights, download, log)
    whole, known, geometry, origin = _starting_point(net, weights, seed, download, log)
    body = whole.without_head() if at is None else cut_at(whole, at)
    shape = output_shape(body)
    if pool and len(shape) != 3:
        raise UsageError(
            f"--pool where net {net} gives {shape[0]} numbers", "a layer that gives an image", "leave out --pool"
        )
    kept = {name: known[name] for name in parameter_shapes(body)}
    # Neither name can be a stage's: those are Python names.
    if pool:
        body = body.then("mean-of-planes", GlobalAvgPool())
    if len(shape) == 3:
        body = body.then("as-vector", Flatten())
    notes = (f"the weights are random (seed {seed}): such features tell little of what is on a photo",)
    return Extraction(
        Backbone(body, kept, geometry),
        f"{net} at {at}" if at else f"{net} before its head",
        shape,
        {"net": net, "at": at or "before the head", "shape": list(shape), "pool": pool}
        | {"weights": origin or f"random, seed {seed}", "geometry": geometry.as_json()},
        () if origin else notes,
    )


def _of_foreign(net: str, at: str | None, pool: bool, weights: str, download: bool, log: Log) -> Extraction:
    """A net of another package: only what it says before its head."""
    if at is not None or pool:
        raise UsageError(
            f"--at or --pool with net {net}, whose layers kopal does not name",
            "its features before the head",
            "leave it out",
        )
    if weights == "none":
        raise UsageError(
            f"--weights none with net {net}", "published weights, or a file's", "add --download, or a file"
        )
    start = "imagenet" if weights == "auto" else weights
    backbone = backbone_of(Recipe(net=net, weights=start), download, log)
    shape = (backbone.dimension,)
    about = {"net": net, "at": "before the head", "shape": list(shape), "pool": False, "weights": dict(backbone.origin)}
    return Extraction(backbone, f"{net} before its head", shape, about | {"geometry": backbone.geometry.as_json()})


def of_model(classifier: Classifier, name: str = "the model") -> Extraction:
    """What a model file makes of a photo before its head. Raises `UsageError` where its graph does not show that."""
    try:
        extractor = ModelFeatures(classifier)
    except UsageError as error:
        raise UsageError(f"{name}: {error.happened}", error.expected, error.fix) from error
    net = classifier.card.net
    about = {"net": net, "at": "before the head", "shape": [extractor.dimension], "model": classifier.digest}
    return Extraction(
        extractor, f"{net} of {name}, before its head", (extractor.dimension,), about, _pixels_note(extractor)
    )


@final
class ModelFeatures:
    """The checked graph of a model file up to its head; it is cut in memory, the file stays as it is."""

    def __init__(self, classifier: Classifier) -> None:
        graph = before_head(classifier.graph())
        data = graph.SerializeToString(deterministic=True)
        self.geometry = classifier.geometry
        self.context = context_of(data, self.geometry)
        self.layers = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in graph.graph.node)
        self._session = session(data)
        found = self.features(golden_pixels(self.geometry))
        if found.ndim != 2 or len(found) != 2:
            raise UsageError(
                f"its last linear layer looks at numbers of shape {found.shape[1:]}", "one vector for each photo"
            )
        self.dimension = found.shape[1]

    def features(self, pixels: Pixels) -> Features:
        """Pixels uint8 (N, H, W, C) → features float32 (N, D)."""
        found: NDArray[np.float32] = run_session(self._session, pixels, self.geometry)[0]
        return found


def extract(
    dataset: Dataset, extraction: Extraction, cache: bool = True, log: Log = silent
) -> tuple[Photos, tuple[LedgerRow, ...]]:
    """Every photo of a set → features, computed or from the store, and the files that are left out.

    Raises `DataError` where no photo can be read, and for more features than fit in memory.
    """
    extractor = extraction.extractor
    if (size := 4 * len(dataset) * extractor.dimension) > MOST_BYTES:
        raise DataError(
            f"{len(dataset)} photos with {extractor.dimension} numbers each are {size / 1e9:.1f} GB",
            f"at most {MOST_BYTES / 1e9:.1f} GB",
            "add --pool, take a later layer, or fewer photos" if len(extraction.shape) == 3 else "take fewer photos",
        )
    with closing(Store(cache_folder(), extractor.context)) if cache else nullcontext() as store:
        photos, rows = read(dataset, extractor, store, lambda done, of: log(Progress("photos", done, of)))
        if store and store.fault:
            log(Note(store.fault))
    return photos, rows


def _starting_point(
    net: str, weights: str, seed: int, download: bool, log: Log
) -> tuple[Net, Mapping[str, NDArray[np.float32]], Geometry, dict[str, str]]:
    """A whole net with weights, how it sees a photo, and where they come from: nowhere, if they are random."""
    if weights == "none":
        # Of the whole net even if it is cut, so that a layer has the same weights wherever the cut is.
        whole = build(net)
        return whole, start(whole, np.random.default_rng(seed), "he"), Geometry(*whole.image), {}
    if weights not in STARTS and not is_file(weights):
        raise UsageError(f"--weights {weights}", "auto, imagenet, none, or a file's path, such as weights.pth")
    made = Recipe(net=net, weights="imagenet" if weights == "auto" else weights)
    try:
        whole, known, origin = pretrained_net(made, download, log)
    except (UsageError, WeightsError) as error:
        random = "--weights none takes random ones, to look at shapes and to compare with"
        raise type(error)(error.happened, error.expected, f"{error.fix}; {random}" if error.fix else random) from error
    return whole, known, geometry_of(made), dict(origin)


def _pixels_note(extractor: ModelFeatures) -> tuple[str, ...]:
    return () if extractor.layers else ("the model is linear: what stands before its head are the pixels themselves",)
