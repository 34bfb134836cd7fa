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
from kopal.errors import CheckpointError, OutputError, UsageError
from kopal.fit.augment import PRESETS
from kopal.fit.checkpoint import Checkpoints, Saved
from kopal.fit.foreign import is_foreign, usual_image
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Epoch, Lesson, Place, steps
from kopal.fit.lr_finder import sweep
from kopal.fit.normalise import measure
from kopal.fit.pupil import Pupil, pupil
from kopal.fit.world import ALONE, World
from kopal.images import FULL_SIDE, Geometry
from kopal.log import Log, Note, Progress, silent
from kopal.nets.describe import describe
from kopal.nets.layers import BatchNorm
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.nets.resnet_cifar import DEPTHS
from kopal.pixels import PixelPhotos, native_shape
from kopal.recipes import Recipe
from kopal.schedules import SCHEDULES, warmed_up
from kopal.splits import parts
from kopal.stopping import AnyOf, MaxSteps, NoImprovement, Rule, Settled

HELD = 0.1
USUAL_BATCH = 64
SMALL_NETS = ("resnet9", *DEPTHS)
ANY_SIZE = ("linear", "mlp", *SMALL_NETS)
ANY_COLOUR = ("linear", "mlp", "lenet5", "garment", *SMALL_NETS)
FOREIGN_IMAGE = (224, 224, 3)
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
    usual = usual_image(recipe.net) or FOREIGN_IMAGE if is_foreign(recipe.net) else build(recipe.net).image
    native = native_shape(dataset) or usual
    height, width, channels = usual
    if recipe.image_size:
        height = width = recipe.image_size
    elif (recipe.net in ANY_SIZE or ".py:" in recipe.net) and max(native[:2]) <= FULL_SIDE:
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
    began = perf_counter()
    # Data
    learning, validation = carved(recipe, photos)
    recipe = replace(recipe, batch=batch_size(recipe, len(learning)))
    # Model
    saved = keeping.saved
    found: dict[str, Any] = dict(saved.found) if saved else {"rate": recipe.rate}
    image, classes = photos.pixels.shape[1:], len(photos.classes)
    normalisation = measure(learning, recipe.normalise)
    own = pupil(recipe, image, classes, normalisation, world, speeds, found.get("choice"))
    found["choice"] = dict(own.choice)
    learner = own.make()
    log(_course(recipe, own, learning, validation))
    if world.size > 1 and any(isinstance(row.layer, BatchNorm) for row in describe(own.net)):
        log(Note(f"batch norm: each of the {world.size} processes norms by its own share of a batch"))
    # Criterion and optimiser: the learner has them, and the rate is the recipe's or found
    if not found["rate"]:
        swept = sweep(learner, learning, lesson_of(recipe, photos, validation), world)
        log(swept)
        found["rate"] = swept.valley
    left = _left(recipe, spent + perf_counter() - began, world)
    lesson = replace(lesson_of(replace(recipe, rate=found["rate"]), photos, validation), budget=left)
    # Loop
    start, best = Place(), learner.weights()
    if saved:
        start, best = saved.place, saved.best or best
        _restore(learner, saved.state)
        log(Note(f"going on after epoch {len(start.history)}" + (f", step {start.step}" if start.photos else "")))
    history, fault = start.history, ""
    for place in steps(learner, learning, validation, lesson, world, start):
        if epoch := place.ended:
            history = place.history
            best = learner.weights() if epoch.best else best
            log(epoch)
        else:
            log(Progress("photos of the epoch", place.photos, place.of))
        if place.ended or (keeping.every and place.step % keeping.every == 0 and not place.cut):
            before, fault = fault, _keep(keeping, place, learner, best, found)
            if fault and fault != before:
                log(Note(f"no checkpoint for now, the one before stays: {fault}"))
    return Learned(own.net, own.finish(best), history, found["rate"])


def carved(recipe: Recipe, photos: PixelPhotos) -> tuple[Photographs, Photographs]:
    """The photos to learn from and those to validate on: a tenth of the train part, grouped and stratified."""
    train = photos.where("train")
    validates = parts(photos.labels[train], list(compress(photos.digests, train)), [HELD], recipe.seed, photos.classes)
    learning, validation = (np.flatnonzero(train)[validates == number] for number in (0, 1))
    return (
        Photographs(photos.pixels, photos.labels[learning], learning),
        Photographs(photos.pixels, photos.labels[validation], validation),
    )


def batch_size(recipe: Recipe, photos: int) -> int:
    """The recipe's batch, else 64 or all photos where they are fewer. Raises `UsageError` for more than there are."""
    if recipe.batch > photos:
        raise UsageError(
            f"a batch of {recipe.batch} photos where there are {photos} to learn from",
            f"at most {photos}",
            "leave --batch out, or add photos",
        )
    return recipe.batch or min(USUAL_BATCH, photos)


def lesson_of(recipe: Recipe, photos: PixelPhotos, validation: Photographs) -> Lesson:
    """The recipe's way through the photos, with its whole budget."""
    held = int((~photos.where("train")).sum())
    augment, seed, classes = PRESETS[recipe.augment], recipe.seed, len(photos.classes)
    return Lesson(
        recipe.batch,
        rates(recipe),
        stopping(recipe),
        seed,
        recipe.epochs or float("inf"),
        recipe.budget or float("inf"),
        held / len(validation),
        recipe.balance,
        lambda pixels, labels, images, epoch: augment.apply(pixels, labels, images, seed, epoch, classes),
    )


def rates(recipe: Recipe) -> Callable[[float, Any], float]:
    """The learning rate after a share of the training, given the validation losses so far."""
    schedule = warmed_up(SCHEDULES[recipe.schedule], recipe.warmup)
    return lambda done, losses: recipe.rate * schedule(done, losses)


def stopping(recipe: Recipe) -> Rule:
    """The recipe's rules as one."""
    rules: list[Rule] = [MaxSteps(recipe.epochs, "epochs")] if recipe.epochs else []
    if recipe.patience:
        rules.append(NoImprovement(recipe.patience, unit="epochs"))
    if recipe.settled:
        rules.append(Settled(recipe.settled))
    return AnyOf(tuple(rules))


def _keep(keeping: Keeping, place: Place, learner: Learner, best: Weights, found: dict[str, Any]) -> str:
    """Write a checkpoint; why it could not be, or "". Hours of training are worth more: the one before is whole."""
    if keeping.checkpoints is None:
        return ""
    try:
        keeping.checkpoints.write(place, learner.state(), best, found)
    except OutputError as error:
        return error.happened
    return ""


def _left(recipe: Recipe, spent: float, world: World) -> float:
    """The seconds of the budget that are left by the first process's clock: all are to stop at the same step."""
    left = max(1.0, recipe.budget - spent) if recipe.budget else float("inf")
    return world.sums(0.0 if world.rank else left)[0]


def _restore(learner: Learner, state: Weights) -> None:
    """Give a fresh learner the state of another. Raises `CheckpointError` where it was one of another net."""
    for name, array in learner.state().items():
        if name not in state or state[name].shape != array.shape:
            raise CheckpointError(
                f"the checkpoint does not fit the net: {name}", "the net that it was made of", "start anew"
            )
    learner.restore(state)


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
