"""The ways of learning: a head on the frozen features of a pretrained net, that net fine-tuned, or one from pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kopal.audit import Audit, audit, check_different
from kopal.backends.onnx_backend import classifier_model
from kopal.backends.torch_module import require_torch
from kopal.datasets import FEWEST, Dataset, Labelled, check_learnable
from kopal.errors import TogetherError
from kopal.features import Backbone, Photos, read
from kopal.fit import scratch, tune
from kopal.fit.backbones import backbone_of, starts_frozen
from kopal.fit.checkpoint import Checkpoints
from kopal.fit.fitted import Fitted
from kopal.fit.foreign import file_digest
from kopal.fit.heads.learn import learn
from kopal.fit.keeping import Keeping
from kopal.fit.lr_finder import Sweep
from kopal.fit.pupil import engine_of
from kopal.fit.world import World
from kopal.heap import give_back
from kopal.images import Geometry
from kopal.ledger import LedgerRow
from kopal.log import Ledger, Log, Note, Progress
from kopal.looks import album
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.parallel import ordered
from kopal.pixels import PixelPhotos, pixel_context, read_pixels
from kopal.plan import plan
from kopal.recipes import NOT_OF_TUNING, OF_FEATURES, OF_PIXELS, Recipe, is_file
from kopal.run import CHECKPOINT
from kopal.runtime import run_session, session
from kopal.store import Store, cache_folder

SCORED_AT_ONCE = 256
SPEEDS = "speed.json"

Learned: TypeAlias = tuple[Fitted, Labelled, tuple[LedgerRow, ...], Audit]


@dataclass(frozen=True)
class Circumstances:
    """What a training meets but its result does not depend on: the cache, where checkpoints go and how often (0 steps:
    after epochs only), whether to go on from one, the processes that train together, when it began, and whether
    pretrained weights may be fetched.
    """

    world: World
    began: float
    cache: bool = True
    folder: Path | None = None
    every: int = 0
    resume: bool = False
    download: bool = False


def starts_from_imagenet(recipe: Recipe) -> bool:
    """Whether a recipe takes the features of a pretrained net: where it says so, or where a package carries them."""
    return starts_frozen(recipe)


def fine_tunes(recipe: Recipe) -> bool:
    """Whether more of the pretrained net than its head learns."""
    return recipe.tune != "head"


def used_knobs(recipe: Recipe) -> dict[str, Any]:
    """The recipe without the knobs that its way of learning does not have; of a weights file only its name."""
    frozen = starts_from_imagenet(recipe)
    if is_file(recipe.weights):
        recipe = replace(recipe, weights=Path(recipe.weights).name)
    if fine_tunes(recipe):
        return recipe.as_json(without=NOT_OF_TUNING)
    return recipe.as_json(without=OF_PIXELS if frozen else OF_FEATURES)


def from_features(recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log) -> Learned:
    """A head on the features of a frozen, pretrained net, computed once and kept."""
    backbone, photos, rows, findings = features_of(recipe, dataset, around, log)
    fitted = learn(recipe, photos, backbone, lambda done, of: log(Progress("steps of fitting", done, of)))
    if fitted.net.name == backbone.net.name:
        graph = {} if recipe.features == Recipe.features else {f"{recipe.features}_graph_sha256": backbone.digest}
        fitted = replace(fitted, origin={**backbone.origin, **graph})
    fitted = replace(fitted, backbone=backbone)
    log(fitted)
    return fitted, photos, rows, findings


def features_of(
    recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log
) -> tuple[Backbone, Photos, tuple[LedgerRow, ...], Audit]:
    """The photos with the features of the recipe's frozen net, computed or from the cache; copies are of one group."""
    backbone, photos, rows = read_features(recipe, dataset, around, log)
    _tell(photos, rows, dataset, log)
    findings, groups = audit(photos, rows, photos.features)
    return backbone, replace(photos, groups=groups), rows, findings


def read_features(
    recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log, fits: bool = True
) -> tuple[Backbone, Photos, tuple[LedgerRow, ...]]:
    """The photos with their looks and features as they are read, whether or not they can be learned from.

    Where nothing is to be fitted there is no plan.
    """
    backbone = backbone_of(recipe, around.download, log)
    with (
        closing(Store(cache_folder(), backbone.context)) if around.cache else nullcontext() as store,
        album(backbone.geometry, around.cache) as looks,
    ):
        if fits:
            log(plan(dataset, backbone, store, recipe))
        photos, rows = read(dataset, backbone, store, lambda done, of: log(Progress("photos", done, of)), looks)
        if store and store.fault:
            log(Note(store.fault))
    return backbone, photos, rows


def from_pixels(recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log) -> Learned:
    """A whole net, trained from pixels; calibration and test are scored by the very graph that is saved."""
    photos, rows, findings = read_in_parts(recipe, scratch.geometry(recipe, dataset, log), dataset, around, log)
    with learning(recipe):
        keeping, spent = _keeping(recipe, photos, around, log), perf_counter() - around.began
        learned = scratch.learn(recipe, photos, log, keeping, around.world, _speeds(around), spent)
    # The other processes of a training by several are done: the first alone judges and writes.
    nobody = np.empty((0, len(photos.classes)), np.float32)
    scores = nobody if around.world.rank else _held_scores(learned.net, learned.weights, photos)
    fitted = Fitted(learned.net, learned.weights, photos.geometry, scores, rate=learned.rate, history=learned.history)
    return fitted, photos, rows, findings


def from_tuning(recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log) -> Learned:
    """A pretrained net that goes on learning, from a head on its frozen features; parts and scores as from pixels."""
    require_torch()
    backbone = backbone_of(
        replace(recipe, weights="imagenet" if recipe.weights == "auto" else recipe.weights), around.download, log
    )
    photos, rows, findings = read_in_parts(recipe, backbone.geometry, dataset, around, log)
    with (
        learning(recipe),
        closing(Store(cache_folder(), backbone.context)) if around.cache else nullcontext() as store,
    ):
        keeping, spent = _keeping(recipe, photos, around, log), perf_counter() - around.began
        tuned = tune.learn(recipe, photos, backbone, log, keeping, store, _speeds(around), spent)
    return (
        Fitted(
            tuned.net,
            tuned.weights,
            photos.geometry,
            _held_scores(tuned.net, tuned.weights, photos),
            tuned.probe.penalty,
            rate=tuned.rate,
            history=tuned.history,
            origin=backbone.origin,
            kept=tuned.kept,
        ),
        photos,
        rows,
        findings,
    )


def rate_from_pixels(recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log) -> Sweep:
    """The sweep over learning rates that `from_pixels` would begin with, on the same photos."""
    photos, *_ = read_in_parts(recipe, scratch.geometry(recipe, dataset, log), dataset, around, log)
    with learning(recipe):
        return scratch.find_rate(recipe, photos, log, around.world, _speeds(around))


def read_in_parts(
    recipe: Recipe, geometry: Geometry, dataset: Dataset, around: Circumstances, log: Log
) -> tuple[PixelPhotos, tuple[LedgerRow, ...], Audit]:
    """The photos at one geometry, in the parts that a net learns from, validates on and is measured on."""
    with (
        closing(Store(cache_folder(), pixel_context(geometry), "|u1")) if around.cache else nullcontext() as store,
        album(geometry, around.cache) as looks,
    ):
        photos, rows = read_pixels(dataset, geometry, store, lambda done, of: log(Progress("photos", done, of)), looks)
        if store and store.fault:
            log(Note(store.fault))
    _tell(photos, rows, dataset, log)
    findings, groups = audit(photos, rows)
    # Another machine may round otherwise: all processes take the groups of the first.
    groups = np.frombuffer(around.world.from_first(groups.tobytes()), np.int64)
    return scratch.in_parts(replace(photos, groups=groups), recipe.seed), rows, findings


@contextmanager
def learning(recipe: Recipe) -> Iterator[None]:
    """Around whatever learns from pixels: overflow without warnings, one pool of threads, its memory given back."""
    # A rate too high overflows; the loop says so once and in words. PyTorch's threads are not to wait for NumPy's.
    pools = threadpool_limits(1 if engine_of(recipe) == "torch" else None, user_api="blas")
    try:
        with np.errstate(all="ignore"), pools:
            yield
    finally:
        give_back()


def _speeds(around: Circumstances) -> Path | None:
    return cache_folder() / SPEEDS if around.cache else None


def _held_scores(net: Net, weights: Weights, photos: PixelPhotos) -> NDArray[np.float32]:
    scores = np.full((len(photos), len(photos.classes)), np.nan, np.float32)
    held = np.flatnonzero(~photos.where("train"))
    graph = session(classifier_model(net, weights, 1.0, len(photos.classes)).SerializeToString())
    batches = (held[first : first + SCORED_AT_ONCE] for first in range(0, len(held), SCORED_AT_ONCE))
    for batch, found in ordered(
        lambda rows: (rows, run_session(graph, photos.pixels[rows], photos.geometry)[0]), batches
    ):
        scores[batch] = found
    return scores


def _keeping(recipe: Recipe, photos: PixelPhotos, around: Circumstances, log: Log) -> Keeping:
    """Where this training is kept, and the one to go on with: process 0 reads it, all of them get it."""
    identity = {
        **used_knobs(recipe),
        "engine": engine_of(recipe),
        "processes": around.world.size,
        "classes": list(photos.classes),
        "photos": _as_they_stand(photos),
        **({"module": digest} if (digest := file_digest(recipe.net)) else {}),
    }
    if json.loads(around.world.from_first(json.dumps(identity).encode())) != json.loads(json.dumps(identity)):
        raise TogetherError("this process was given other photos or another recipe than the first", "the same for all")
    checkpoints = Checkpoints(around.folder / CHECKPOINT if around.folder else Path(CHECKPOINT), identity)
    saved = None
    if around.resume:
        saved = checkpoints.unpacked(around.world.from_first(checkpoints.read() if around.folder else b""))
        if saved is None:
            log(Note("no checkpoint to go on from: the training starts anew"))
    return Keeping(checkpoints if around.folder else None, around.every, saved)


def _as_they_stand(photos: PixelPhotos) -> str:
    """A digest of photos, classes, parts and groups in their order, by which they are dealt and shuffled."""
    order = hashlib.sha256(b"".join(photos.digests))
    order.update(photos.labels.tobytes() + "".join(photos.parts.tolist()).encode() + photos.groups.tobytes())
    return order.hexdigest()


def _tell(photos: Labelled, rows: tuple[LedgerRow, ...], dataset: Dataset, log: Log) -> None:
    """What was left out and what is odd, before the fitting; stops where too little is left."""
    enough = min(_counts(photos)) >= FEWEST
    log(Ledger(rows, len(dataset), complete=not enough))
    check_learnable(photos.classes, _counts(photos), "readable photos")
    check_different(photos)


def _counts(photos: Labelled) -> list[int]:
    counts = np.bincount(photos.labels[photos.where("train")], minlength=len(photos.classes))
    return [int(count) for count in counts]
