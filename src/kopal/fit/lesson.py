"""From a recipe to a way through the photos: which validate, how large a batch is, at what rates, when to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kopal.errors import UsageError
from kopal.fit.augment import PRESETS
from kopal.fit.learner import Photographs
from kopal.fit.loop import Lesson
from kopal.pixels import PixelPhotos
from kopal.recipes import Recipe
from kopal.schedules import SCHEDULES, warmed_up
from kopal.splits import parts
from kopal.stopping import AnyOf, MaxSteps, NoImprovement, Rule, Settled

HELD = 0.1
"""The share of the photos in each part that is carved from another."""
USUAL_BATCH = 64


def carved(recipe: Recipe, photos: PixelPhotos) -> tuple[Photographs, Photographs]:
    """The photos to learn from and those to validate on: a tenth of the train part, grouped and stratified."""
    train = photos.where("train")
    validates = parts(photos.labels[train], photos.groups[train], [HELD], recipe.seed, photos.classes)
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
