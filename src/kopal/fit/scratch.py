"""Learning a whole net from pixels, in four steps: data, model, criterion and optimiser, loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kopal.datasets import PARTS, Dataset
from kopal.errors import DataError
from kopal.fit.foreign import is_foreign, usual_image
from kopal.fit.keeping import Keeping, Weights, kept
from kopal.fit.learner import Learner, Photographs
from kopal.fit.lesson import HELD, batch_size, carved, lesson_of
from kopal.fit.loop import Epoch
from kopal.fit.lr_finder import REMEDY, Sweep, sweep
from kopal.fit.normalise import measure
from kopal.fit.norming import check_batch, norms_by_batch
from kopal.fit.pupil import Pupil, pupil
from kopal.fit.world import ALONE, World
from kopal.images import FULL_SIDE, Geometry
from kopal.log import Log, Note, Progress, silent
from kopal.nets.describe import describe
from kopal.nets.net import Net
from kopal.nets.registry import build, smallest_side
from kopal.nets.resnet_cifar import DEPTHS
from kopal.pixels import PixelPhotos, native_shape, sampled_shapes
from kopal.recipes import Recipe
from kopal.splits import parts

SMALL_NETS = ("resnet9", *DEPTHS)
ANY_SIZE = ("linear", "mlp", *SMALL_NETS)
ANY_COLOUR = ("linear", "mlp", "lenet5", "garment", *SMALL_NETS)
FOREIGN_IMAGE = (224, 224, 3)


@dataclass(frozen=True)
class Course:
    """What is about to be trained, and what an epoch will take here, from one step on one batch."""

    net: Net
    parameters: int
    how: str
    photos: int
    validation: int
    epochs: int
    budget: float
    epoch_seconds: float


@dataclass(frozen=True)
class Learned:
    """A net with its best weights, and how it came to them."""

    net: Net
    weights: Weights
    history: tuple[Epoch, ...]
    rate: float


def geometry(recipe: Recipe, dataset: Dataset, log: Log = silent) -> Geometry:
    """The pixels to learn from: --image-size, else small photos' own size where the net can take it, else the net's.

    Nets for large photos see the centre square; where small photos' own is too small for one, it is enlarged to the
    least that the net works at, which `log` is told.
    """
    usual = usual_image(recipe.net) or FOREIGN_IMAGE if is_foreign(recipe.net) else build(recipe.net).image
    shapes = sampled_shapes(dataset)
    native = native_shape(shapes) or usual
    height, width, channels = usual
    if recipe.image_size:
        height = width = recipe.image_size
    elif max(native[:2]) <= FULL_SIDE:
        if recipe.net in ANY_SIZE or ".py:" in recipe.net:
            height, width, _ = native
        elif not is_foreign(recipe.net) and min(usual[:2]) > FULL_SIDE >= max(max(shape[:2]) for shape in shapes):
            height = width = _side(recipe.net, min(native[:2]), log)
    return Geometry(height, width, 3 if channels == 3 and recipe.net not in ANY_COLOUR else native[2])


def _side(net: str, own: int, log: Log) -> int:
    """The side at which a net for large photos learns from small ones: at its usual one it would work on air."""
    least = smallest_side(net)
    if own < least:
        log(Note(f"{net} works from {least} x {least} pixels on: the photos, {own} x {own}, are enlarged to that"))
    return max(own, least)


def in_parts(photos: PixelPhotos, seed: int) -> PixelPhotos:
    """The photos with calibration and test carved from train where the owner brought none: 80 / 10 / 10."""
    missing = [part for part in PARTS[1:] if not photos.where(part).any()]
    if not missing:
        return photos
    train = np.flatnonzero(photos.where("train"))
    dealt = parts(photos.labels[train], photos.groups[train], [HELD] * len(missing), seed, photos.classes)
    own = photos.parts.astype(f"<U{max(map(len, PARTS))}")
    for number, part in enumerate(missing, start=1):
        own[train[dealt == number]] = part
    return replace(photos, parts=own)


def learn(
    recipe: Recipe,
    photos: PixelPhotos,
    log: Log = silent,
    keeping: Keeping = Keeping(),  # noqa: B008 - frozen
    world: World = ALONE,
    speeds: Path | None = None,
    spent: float = 0.0,
) -> Learned:
    """Train on the train part; a tenth of it, no twin on both sides, validates. Photos of other parts are not seen.

    `spent` are seconds of the budget that went before. Raises `KopalError`.
    """
    began = perf_counter()
    # Data
    learning, validation = carved(recipe, photos)
    recipe = replace(recipe, batch=batch_size(recipe, len(learning)))
    # Model
    saved = keeping.saved
    found: dict[str, Any] = dict(saved.found) if saved else {"rate": recipe.rate}
    own = pupil_of(recipe, photos, learning, world, speeds, found.get("choice"))
    found["choice"] = dict(own.choice)
    log(_course(recipe, own, learning, validation))
    learner = own.make()
    if world.size > 1 and norms_by_batch(own.net):
        log(Note(f"batch norm: each of the {world.size} processes norms by its own share of a batch"))
    # Criterion and optimiser: the learner has them, and the rate is the recipe's or found
    if not found["rate"]:
        swept = sweep(learner, learning, lesson_of(recipe, photos, validation), world)
        log(swept)
        if not swept.learns:
            raise DataError("no learning rate brings the loss down", "one that does", REMEDY)
        found["rate"] = swept.suggested
    left = _left(recipe, spent + perf_counter() - began, world)
    lesson = replace(lesson_of(replace(recipe, rate=found["rate"]), photos, validation), budget=left)
    # Loop
    best, history = kept(learner, learning, validation, lesson, keeping, found, log, world)
    return Learned(own.net, own.finish(best), history, found["rate"])


def course(recipe: Recipe, photos: PixelPhotos, processes: int = 1) -> Course:
    """What `learn` would set out on, from a step of one process on one batch; nothing comes of it.

    Raises `KopalError`.
    """
    learning, validation = carved(recipe, photos)
    recipe = replace(recipe, batch=batch_size(recipe, len(learning)))
    own = pupil_of(recipe, photos, learning, ALONE, None)
    check_batch(own.net, recipe.batch, processes)
    return _course(recipe, own, learning, validation)


def find_rate(
    recipe: Recipe, photos: PixelPhotos, log: Log = silent, world: World = ALONE, speeds: Path | None = None
) -> Sweep:
    """The sweep that a training with these knobs would begin with. Raises `KopalError`."""
    learning, validation = carved(recipe, photos)
    recipe = replace(recipe, batch=batch_size(recipe, len(learning)))
    learner, lesson = pupil_of(recipe, photos, learning, world, speeds).make(), lesson_of(recipe, photos, validation)
    return sweep(
        learner, learning, lesson, world, progress=lambda done, of: log(Progress("steps of the sweep", done, of))
    )


def pupil_of(
    recipe: Recipe,
    photos: PixelPhotos,
    learning: Photographs,
    world: World,
    speeds: Path | None,
    choice: Mapping[str, Any] | None = None,
) -> Pupil:
    """The recipe's net for these photos, normalised by those that it learns from."""
    image, normalisation = photos.pixels.shape[1:], measure(learning, recipe.normalise)
    return pupil(recipe, image, len(photos.classes), normalisation, world, speeds, choice)


def _left(recipe: Recipe, spent: float, world: World) -> float:
    """The seconds of the budget that are left by the first process's clock: all are to stop at the same step."""
    left = max(1.0, recipe.budget - spent) if recipe.budget else float("inf")
    return world.sums(0.0 if world.rank else left)[0]


def _course(recipe: Recipe, own: Pupil, learning: Photographs, validation: Photographs) -> Course:
    parameters = sum(row.parameters for row in describe(own.net))
    seconds = _epoch_seconds(own.make(), learning, recipe)
    return Course(own.net, parameters, own.how, len(learning), len(validation), recipe.epochs, recipe.budget, seconds)


def _epoch_seconds(learner: Learner, learning: Photographs, recipe: Recipe) -> float:
    batch = recipe.batch
    pixels, labels = learning.take(np.arange(batch)), learning.labels[:batch]
    learner.learn(pixels, labels, 1e-6, batch)
    started = perf_counter()
    learner.learn(pixels, labels, 1e-6, batch)
    return (perf_counter() - started) * len(learning) / batch
