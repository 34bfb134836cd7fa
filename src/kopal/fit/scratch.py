"""Learning a whole net from pixels, in four steps: data, model, criterion and optimiser, loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.datasets import PARTS, Dataset
from kopal.errors import DataError, OutputError
from kopal.fit.augment import PRESETS
from kopal.fit.checkpoint import Checkpoints, Saved
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Epoch, Lesson, Place, steps
from kopal.fit.lr_finder import REMEDY, Sweep, sweep
from kopal.fit.normalise import measure
from kopal.fit.pupil import Pupil, pupil
from kopal.fit.world import ALONE, World
from kopal.images import FULL_SIDE, Geometry
from kopal.log import Log, Note, Progress, silent
from kopal.nets.describe import describe
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.pixels import PixelPhotos, native_shape
from kopal.recipes import Recipe
from kopal.schedules import SCHEDULES, warmed_up
from kopal.splits import parts
from kopal.stopping import AnyOf, MaxSteps, NoImprovement, Rule, Settled

HELD = 0.1
ANY_SIZE = ("linear", "mlp", "resnet9")
ANY_COLOUR = ("linear", "mlp", "lenet5", "garment", "resnet9")
Weights = Mapping[str, NDArray[Any]]


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


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept while it goes on, and how often: after every epoch, and every so many steps (0: no).

    Process 0 alone has `checkpoints` to write. `saved` is the training to go on with.
    """

    checkpoints: Checkpoints | None = None
    every: int = 0
    saved: Saved | None = None


def geometry(recipe: Recipe, dataset: Dataset) -> Geometry:
    """The pixels to learn from: --image-size, else small photos' own size where the net takes any, else the net's."""
    usual = build(recipe.net)
    native = native_shape(dataset) or usual.image
    height, width, channels = usual.image
    if recipe.image_size:
        height = width = recipe.image_size
    elif recipe.net in ANY_SIZE and max(native[:2]) <= FULL_SIDE:
        height, width, _ = native
    return Geometry(height, width, 3 if channels == 3 and recipe.net not in ANY_COLOUR else native[2])


def in_parts(photos: PixelPhotos, seed: int) -> PixelPhotos:
    """The photos with calibration and test carved from train where the owner brought none: 80 / 10 / 10."""
    missing = [part for part in PARTS[1:] if not photos.where(part).any()]
    if not missing:
        return photos
    train = np.flatnonzero(photos.where("train"))
    dealt = parts(
        photos.labels[train], [photos.digests[index] for index in train], [HELD] * len(missing), seed, photos.classes
    )
    own = photos.parts.astype(f"<U{max(map(len, PARTS))}")
    for number, part in enumerate(missing, start=1):
        own[train[dealt == number]] = part
    return replace(photos, parts=own)


def learn(
    recipe: Recipe,
    photos: PixelPhotos,
    log: Log = silent,
    keeping: Keeping = Keeping(),
    world: World = ALONE,
    speeds: Path | None = None,
    spent: float = 0.0,
) -> Learned:
    """Train on the train part; a tenth of it, no twin on both sides, validates. Photos of other parts are not seen.

    `spent` are seconds of the budget that went before. Raises `KopalError`.
    """
    # Data
    learning, validation = carved(recipe, photos)
    # Model
    own = pupil_of(recipe, photos, learning, world, speeds)
    learner = own.make()
    log(_course(recipe, own, learning, validation))
    # Criterion and optimiser: the learner has them, and the rate is the recipe's or found
    lesson = lesson_of(recipe, photos, len(validation), spent)
    found: dict[str, Any] = dict(keeping.saved.found) if keeping.saved else {"rate": recipe.rate}
    if not found["rate"]:
        swept = sweep(learner, learning, lesson, world)
        log(swept)
        if not swept.learns:
            raise DataError("no learning rate brings the loss down", "one that does", REMEDY)
        found["rate"] = swept.suggested
    lesson = replace(lesson, rates=rates(recipe, found["rate"]))
    # Loop
    start, best = Place(), learner.weights()
    if keeping.saved:
        start, best = keeping.saved.place, keeping.saved.best or best
        learner.restore(keeping.saved.state)
        log(Note(f"going on after epoch {len(start.history)}" + (f", step {start.step}" if start.photos else "")))
    history = start.history
    for place in steps(learner, learning, validation, lesson, world, start):
        if epoch := place.ended:
            history = place.history
            best = learner.weights() if epoch.best else best
            log(epoch)
        else:
            log(Progress("photos of the epoch", place.photos, place.of))
        if place.ended or (keeping.every and place.step % keeping.every == 0 and not place.cut):
            _keep(keeping, place, learner, best, found, log)
    return Learned(own.net, own.finish(best), history, found["rate"])


def find_rate(
    recipe: Recipe, photos: PixelPhotos, log: Log = silent, world: World = ALONE, speeds: Path | None = None
) -> Sweep:
    """The sweep that a training with these knobs would begin with. Raises `KopalError`."""
    learning, validation = carved(recipe, photos)
    learner = pupil_of(recipe, photos, learning, world, speeds).make()
    lesson = lesson_of(recipe, photos, len(validation))
    return sweep(
        learner, learning, lesson, world, progress=lambda done, of: log(Progress("steps of the sweep", done, of))
    )


def pupil_of(recipe: Recipe, photos: PixelPhotos, learning: Photographs, world: World, speeds: Path | None) -> Pupil:
    """The recipe's net for these photos, normalised by those that it learns from."""
    image, normalisation = photos.pixels.shape[1:], measure(learning, recipe.normalise)
    return pupil(recipe, image, len(photos.classes), normalisation, world, speeds)


def carved(recipe: Recipe, photos: PixelPhotos) -> tuple[Photographs, Photographs]:
    """The photos to learn from and those to validate on: a tenth of the train part, grouped and stratified."""
    train = photos.where("train")
    validates = parts(photos.labels[train], list(compress(photos.digests, train)), [HELD], recipe.seed, photos.classes)
    learning, validation = (np.flatnonzero(train)[validates == number] for number in (0, 1))
    return (
        Photographs(photos.pixels, photos.labels[learning], learning),
        Photographs(photos.pixels, photos.labels[validation], validation),
    )


def lesson_of(recipe: Recipe, photos: PixelPhotos, validates: int, spent: float = 0.0) -> Lesson:
    """The recipe's way through the photos, with what is left of its budget."""
    held = int((~photos.where("train")).sum())
    augment, seed, classes = PRESETS[recipe.augment], recipe.seed, len(photos.classes)
    return Lesson(
        recipe.batch,
        rates(recipe, recipe.rate),
        stopping(recipe),
        seed,
        recipe.epochs or float("inf"),
        max(1.0, recipe.budget - spent) if recipe.budget else float("inf"),
        held / validates,
        recipe.balance,
        lambda pixels, labels, images, epoch: augment.apply(pixels, labels, images, seed, epoch, classes),
    )


def rates(recipe: Recipe, rate: float) -> Callable[[float, Any], float]:
    """The learning rate after a share of the training, given the validation losses so far."""
    schedule = warmed_up(SCHEDULES[recipe.schedule], recipe.warmup)
    return lambda done, losses: rate * schedule(done, losses)


def stopping(recipe: Recipe) -> Rule:
    """The recipe's rules as one."""
    rules: list[Rule] = [MaxSteps(recipe.epochs, "epochs")] if recipe.epochs else []
    if recipe.patience:
        rules.append(NoImprovement(recipe.patience, unit="epochs"))
    if recipe.settled:
        rules.append(Settled(recipe.settled))
    return AnyOf(tuple(rules))


def _keep(keeping: Keeping, place: Place, learner: Learner, best: Weights, found: dict[str, Any], log: Log) -> None:
    if keeping.checkpoints is None:
        return
    try:
        keeping.checkpoints.write(place, learner.state(), best, found)
    except OutputError as error:
        # Hours of training are worth more than a checkpoint; the one before is still whole.
        log(Note(f"no checkpoint this time, the one before stays: {error.happened}"))


def _course(recipe: Recipe, own: Pupil, learning: Photographs, validation: Photographs) -> Course:
    parameters = sum(row.parameters for row in describe(own.net))
    seconds = _epoch_seconds(own.make(), learning, recipe)
    return Course(own.net, parameters, own.how, len(learning), len(validation), recipe.epochs, recipe.budget, seconds)


def _epoch_seconds(learner: Learner, learning: Photographs, recipe: Recipe) -> float:
    batch = min(recipe.batch, len(learning))
    pixels, labels = learning.take(np.arange(batch)), learning.labels[:batch]
    learner.learn(pixels, labels, 1e-6, batch)
    started = perf_counter()
    learner.learn(pixels, labels, 1e-6, batch)
    return (perf_counter() - started) * len(learning) / batch
