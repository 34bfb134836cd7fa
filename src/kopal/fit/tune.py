"""Fine-tuning a pretrained net: first a head on its frozen features, then the upper stages, or all of them, with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kopal.arrays import Features, Labels, Scores
from kopal.errors import Diverged
from kopal.features import Backbone
from kopal.fit.fitted import Fitted, Kept
from kopal.fit.freedom import depth, freedom, stages
from kopal.fit.ground import Ground, ground
from kopal.fit.keeping import Keeping, kept
from kopal.fit.learner import Learner, Photographs
from kopal.fit.lesson import batch_size, carved, rates, stopping
from kopal.fit.loop import SCORING_COSTS, Epoch, Lesson, score
from kopal.fit.lr_finder import sweep
from kopal.fit.reach import reach
from kopal.fit.scratch import Course
from kopal.fit.stepping import stepping
from kopal.fit.tune_probe import features_at, probe
from kopal.fit.world import ALONE
from kopal.log import Log, Note, silent
from kopal.metrics import log_loss
from kopal.nets.describe import describe
from kopal.nets.fold import Weights
from kopal.nets.layers import Linear
from kopal.nets.net import Net
from kopal.novelty import MOST_OF_NETS
from kopal.parallel import MAX_WORKERS, cores
from kopal.pixels import PixelPhotos
from kopal.recipes import Recipe
from kopal.store import Store
from kopal.trust.calibrate import fit_temperature

BATCH = 32
MOST_EPOCHS = 30
"""Of a training with a budget and no number of epochs: the rate has to fall before patience ends it."""
FINISHING = 2.0
"""Seconds to write the model and to measure it, besides those that the net takes for each photo."""


@dataclass(frozen=True)
class Tuning:
    """What is about to be fine-tuned: the stages that learn, of how many, and the probe that the net starts as.

    `below` says that what the frozen stages make of the photos is kept. A course's parameters are those that learn.
    """

    course: Course
    stages: tuple[str, ...]
    of: int
    below: bool
    probe_loss: float
    probe_accuracy: float


@dataclass(frozen=True)
class Tuned:
    """A net with its best weights, fine-tuned or those of the probe, and how it came to them."""

    net: Net
    weights: Weights
    history: tuple[Epoch, ...]
    rate: float
    probe: Fitted
    kept: Kept


def learn(
    recipe: Recipe,
    photos: PixelPhotos,
    backbone: Backbone,
    log: Log = silent,
    keeping: Keeping = Keeping(),  # noqa: B008 - frozen
    store: Store | None = None,
    speeds: Path | None = None,
    spent: float = 0.0,
) -> Tuned:
    """Fine-tune on the train part; a tenth of it, no twin on both sides, validates. Photos of other parts are not seen.

    What comes out is never worse on the validation photos than the probe. `spent` are seconds of the budget that went
    before. Raises `KopalError`.
    """
    began = perf_counter() - spent
    # Data
    learning, validation = carved(recipe, photos)
    batch = batch_size(recipe, len(learning)) if recipe.batch else min(BATCH, len(learning))
    recipe = replace(recipe, batch=batch)
    # Model: the probe, and what of it may learn
    assert learning.rows is not None
    most = depth(recipe.tune, backbone.net.then("head", Linear(len(photos.classes))))
    fitted = probe(recipe, photos, learning.rows, backbone, store, log)
    net, weights = fitted.net, fitted.weights
    ending = _ending(photos, backbone) if recipe.budget else (0.0, 0.0)
    ends = began + recipe.budget - ending[1] if recipe.budget else float("inf")
    found: dict[str, Any] = dict(keeping.saved.found) if keeping.saved else {"rate": recipe.rate, "stages": most}
    if recipe.budget and not keeping.saved:
        counts = len(learning), len(validation)
        left = ends - perf_counter()
        found["stages"] = reach(recipe, net, weights, most, counts, ending[0], left)
        if not found["stages"]:
            assert validation.rows is not None
            features = features_at(photos, validation.rows, backbone, store)
            return _probe_alone(fitted, features, validation.labels, recipe.rate, _too_late(left), log)
    on = ground(recipe, net, weights, found["stages"], learning, validation, len(photos.classes), photos.geometry, log)
    make = _maker(recipe, on, weights, found, speeds, ends - perf_counter())
    learner = make()
    probe_loss, probe_accuracy = _judged(learner, on.validation)
    log(_tuning(recipe, on, net, found, probe_loss, probe_accuracy))
    # Criterion and optimiser: the learner has them, and the rate is the recipe's or found
    lesson = Lesson(
        batch,
        rates(replace(recipe, rate=found["rate"])),
        stopping(replace(recipe, epochs=found["epochs"])),
        recipe.seed,
        found["epochs"],
        balance=recipe.balance,
        prepare=on.prepare,
        beat=probe_loss,
        judge=calibrated_loss,
    )
    if not found["rate"]:
        swept = sweep(learner, on.learning, lesson)
        if swept.learns:
            log(swept)
            found["rate"] = swept.suggested
            lesson = replace(lesson, rates=rates(replace(recipe, rate=swept.suggested)))
        else:
            log(Note("no learning rate brings the loss down: the probe is as good as it gets here, and is kept"))
    # Loop
    best: Weights = learner.weights()
    history: tuple[Epoch, ...] = ()
    left = ends - perf_counter()
    why = _too_late(left) if left <= 0 and not keeping.saved else ""
    try:
        lesson = replace(lesson, budget=max(1.0, left))
        if found["rate"] and not why:
            best, history = kept(learner, on.learning, on.validation, lesson, keeping, found, log)
    except Diverged as error:
        log(Note(f"{error.happened}: {error.fix}"))
    won = max((epoch for epoch in history if epoch.best), key=lambda epoch: epoch.number, default=None)
    verdict = Kept(
        won.number if won else 0,
        won.validation_loss if won else probe_loss,
        won.validation_accuracy if won else probe_accuracy,
        probe_loss,
        probe_accuracy,
        stages(net)[-found["stages"] :],
        why,
    )
    log(verdict)
    return Tuned(net, {**weights, **best} if won else weights, history, found["rate"], fitted, verdict)


def _too_late(left: float) -> str:
    return f"the {max(0.0, left):.0f} s left are too few to fine-tune"


def _probe_alone(fitted: Fitted, features: Features, labels: Labels, rate: float, why: str, log: Log) -> Tuned:
    """The probe as it is, judged by the features and labels of the validation photos."""
    scores = features @ fitted.weights["head.weight"].T + fitted.weights["head.bias"]
    loss, accuracy = _verdict_on(scores, labels)
    verdict = Kept(0, loss, accuracy, loss, accuracy, (), why)
    log(verdict)
    return Tuned(fitted.net, fitted.weights, (), rate, fitted, verdict)


def _maker(
    recipe: Recipe, on: Ground, weights: Weights, found: dict[str, Any], speeds: Path | None, left: float
) -> Callable[[], Learner]:
    """What makes a learner for the net; how it computes and how many epochs there will be are measured, once."""
    from kopal.fit.torch_pupil import ready  # noqa: PLC0415 - PyTorch takes seconds: only where it is wanted

    how, free = stepping(recipe), freedom(on.net, found["stages"])
    make, choice = ready(recipe, on.net, weights, how, ALONE, speeds, found.get("choice"), free)
    found["choice"], found["how"] = asdict(choice), f"PyTorch on {choice.in_words()}"
    if "epochs" not in found:
        found["epoch_seconds"] = _epoch_seconds(make(), on, recipe.batch)
        fitting = int(min(MOST_EPOCHS, left / found["epoch_seconds"]))
        found["epochs"] = recipe.epochs or max(1, fitting)
    if recipe.tune == "gradual":
        steps = found["epochs"] * ceil(len(on.learning) / recipe.batch)
        free = freedom(on.net, found["stages"], steps=steps)
        make, _ = ready(recipe, on.net, weights, how, ALONE, speeds, found["choice"], free)
    return make


def _epoch_seconds(learner: Learner, on: Ground, batch: int) -> float:
    """What an epoch will take, validation included, from the second of two steps."""
    mine = np.arange(batch)
    for _ in range(2):
        started = perf_counter()
        pixels, targets = on.prepare(on.learning.take(mine), on.learning.labels[mine], mine, 0)
        learner.learn(pixels, targets, 1e-6, batch)
    return (perf_counter() - started) / batch * (len(on.learning) + SCORING_COSTS * len(on.validation))


def _ending(photos: PixelPhotos, backbone: Backbone) -> tuple[float, float]:
    """Seconds that ONNX Runtime takes for a photo, and those from the last epoch to the end of it all."""
    some = photos.pixels[:4]
    backbone.features(some)
    started = perf_counter()
    backbone.features(some)
    a_photo = (perf_counter() - started) / len(some)
    train = photos.where("train")
    seen = int((~train).sum()) + min(MOST_OF_NETS, int(train.sum())) + int(photos.where("calibration").sum())
    return a_photo, a_photo * seen / min(cores(), MAX_WORKERS) + FINISHING


def calibrated_loss(scores: Scores, labels: Labels) -> float:
    """The log loss at the best temperature, as heads are chosen: smoothed targets make good nets look worse."""
    return log_loss(scores, labels, fit_temperature(scores, labels))


def _judged(learner: Learner, validation: Photographs) -> tuple[float, float]:
    return _verdict_on(score(learner, validation), validation.labels)


def _verdict_on(scores: Scores, labels: Labels) -> tuple[float, float]:
    return calibrated_loss(scores, labels), float((scores.argmax(axis=1) == labels).mean())


def _tuning(recipe: Recipe, on: Ground, net: Net, found: dict[str, Any], loss: float, accuracy: float) -> Tuning:
    names = stages(net)
    own = names[-found["stages"] :]
    learned = sum(row.parameters for row in describe(net) if row.path.split(".")[0] in own)
    course = Course(
        net,
        learned,
        found["how"],
        len(on.learning),
        len(on.validation),
        found["epochs"],
        recipe.budget,
        found["epoch_seconds"],
    )
    return Tuning(course, own, len(names), on.below is not None, loss, accuracy)
