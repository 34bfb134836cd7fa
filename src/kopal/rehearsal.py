"""A training that is only planned: what there is to learn from, what would be done and what it would take."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import replace

import numpy as np

from kopal.backends.torch_module import require_torch
from kopal.datasets import PARTS, Dataset
from kopal.errors import WeightsMissing
from kopal.features import Backbone
from kopal.fit import scratch
from kopal.fit.backbones import backbone_of
from kopal.fit.freedom import depth, stages
from kopal.fit.ground import kept_below
from kopal.fit.lesson import HELD, batch_size
from kopal.fit.loop import SCORING_COSTS
from kopal.fit.reach import seconds_a_photo
from kopal.log import Log, Note
from kopal.nets.layers import Linear
from kopal.plan import plan
from kopal.recipes import Recipe
from kopal.store import Store, cache_folder
from kopal.ways import Circumstances, fine_tunes, learning, read_in_parts, starts_from_imagenet


def rehearse(recipe: Recipe, dataset: Dataset, around: Circumstances, log: Log, processes: int = 1) -> None:
    """Tell the plan of a training and what it would take. Nothing is written, neither a run nor to the cache.

    Raises `KopalError`.
    """
    if not fine_tunes(recipe) and not starts_from_imagenet(recipe):
        around = replace(around, cache=False)
        photos, *_ = read_in_parts(recipe, scratch.geometry(recipe, dataset, log), dataset, around, log)
        with learning(recipe):
            log(scratch.course(recipe, photos, processes))
        return
    if fine_tunes(recipe):
        _check_device(recipe)
        recipe = replace(recipe, weights="imagenet" if recipe.weights == "auto" else recipe.weights)
    try:
        backbone = backbone_of(recipe, log=log, keep=False)
    except WeightsMissing as error:
        alone = "a dry run fetches nothing: leave --dry-run out to train"
        raise WeightsMissing(error.happened, error.expected, f"{alone}, and {error.fix}") from error
    opened = Store(cache_folder(), backbone.context, read_only=True) if around.cache else None
    with closing(opened) if opened else nullcontext() as store:
        log(plan(dataset, backbone, store, recipe))
    if fine_tunes(recipe):
        log(Note(_tuning(recipe, dataset, backbone)))


def _check_device(recipe: Recipe) -> None:
    """Raises `UsageError` where PyTorch is not there, or not the device that a fine-tuning would have it use."""
    require_torch()
    from kopal.fit.torch_pupil import candidates  # noqa: PLC0415 - PyTorch takes seconds: only where it is wanted

    candidates(recipe.device, recipe.amp, small=False)


def _tuning(recipe: Recipe, dataset: Dataset, backbone: Backbone) -> str:
    """What a fine-tuning would do after that, from a few steps on empty pictures."""
    classes = len(dataset.classes)
    net = backbone.net.then("head", Linear(classes))
    head = {
        "head.weight": np.zeros((classes, backbone.dimension), np.float32),
        "head.bias": np.zeros(classes, np.float32),
    }
    count = depth(recipe.tune, net)
    carved = sum(not dataset.has(part) for part in PARTS)
    train = sum(dataset.counts("train")) * (1 - HELD * carved)
    learned, validated = round(train * (1 - HELD)), round(train * HELD)
    if recipe.batch > train:
        batch_size(recipe, learned)
    cut = kept_below(recipe, net, count, learned, validated)
    a_photo = seconds_a_photo(recipe, cut.upper if cut else net, {**backbone.weights, **head}, count)
    seconds = a_photo * (learned + SCORING_COSTS * validated)
    epochs = f"at most {recipe.epochs} epochs" if recipe.epochs else f"epochs for {recipe.budget:.0f} s in all,"
    return (
        f"then fine-tune {count} of {len(stages(net))} stages on about {learned} photos: "
        f"{epochs} of about {max(1, round(seconds))} s"
    )
