"""What a rung will take, estimated before it is climbed, and what a budget then leaves for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from time import perf_counter

import numpy as np

from kopal.datasets import Dataset
from kopal.fit.backbones import backbone_of
from kopal.fit.scratch import geometry
from kopal.nets.describe import describe
from kopal.nets.registry import build
from kopal.parallel import MAX_WORKERS, cores
from kopal.pixels import read_pixels
from kopal.plan import SAMPLE, operation_seconds, plan
from kopal.recipes import Recipe
from kopal.rungs import Step
from kopal.store import Store, cache_folder
from kopal.ways import fine_tunes, starts_from_imagenet

AROUND = 2.0
"""Seconds of every rung besides those that its photos take: to judge the net and to write the run."""
FEWEST_EPOCHS = 5
"""With fewer a net that starts from random weights has learned next to nothing."""
PASSES = 3
"""A step computes forward, and back to the activations and to the weights."""
EFFICIENCY = 0.3
"""Of the speed of a product of large matrices, what a training reaches."""
TUNED_BY = 3.0
"""Fine-tuning reads the photos, runs them and their mirror images through most of the net, and has yet to learn."""


def allotted(step: Step, steps: Sequence[Step], needs: Mapping[str, float], left: float) -> tuple[float, float]:
    """The seconds that a rung may take of those that are left, 0 where it needs more; and those there were for it.

    What the rungs above it need that come first is set aside, in their order, as far as it is there.
    """
    aside = 0.0
    for above in steps[steps.index(step) + 1 :] if not step.first else ():
        if above.first and aside + needs[above.name] <= left:
            aside += needs[above.name]
    spare = left - aside
    return (0.0 if needs[step.name] > spare else max(step.share * spare, needs[step.name])), max(0.0, spare)


def least_seconds(recipe: Recipe, dataset: Dataset) -> float:
    """The seconds that a training takes before it is worth anything: all of them where nothing can cut it short.

    Raises `KopalError` where the training would.
    """
    if fine_tunes(recipe) or starts_from_imagenet(recipe):
        return AROUND + _with_backbone(recipe, dataset)
    return AROUND + _from_pixels(recipe, dataset)


def _with_backbone(recipe: Recipe, dataset: Dataset) -> float:
    if fine_tunes(recipe):
        backbone = backbone_of(replace(recipe, weights="imagenet" if recipe.weights == "auto" else recipe.weights))
        found = plan(dataset, backbone, None, recipe)
        return TUNED_BY * found.reading_seconds + found.fitting_seconds
    backbone = backbone_of(recipe)
    with closing(Store(cache_folder(), backbone.context)) as store:
        found = plan(dataset, backbone, store, recipe)
    return found.reading_seconds + found.fitting_seconds


def _from_pixels(recipe: Recipe, dataset: Dataset) -> float:
    seen = geometry(recipe, dataset)
    some = dataset.sample(np.unique(np.linspace(0, len(dataset) - 1, SAMPLE).astype(int)).tolist())
    started = perf_counter()
    read_pixels(some, seen)
    a_photo = (perf_counter() - started) / len(some) / min(cores(), MAX_WORKERS)
    work = sum(row.multiply_adds for row in describe(build(recipe.net, len(dataset.classes), seen.shape)))
    epoch = PASSES * work * sum(dataset.counts("train")) * operation_seconds() / EFFICIENCY / cores()
    return len(dataset) * a_photo + FEWEST_EPOCHS * epoch
