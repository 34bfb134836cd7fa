"""The one training loop: data, model, criterion and optimiser are given; this is step four.

A generator, so there is no trainer and there are no callbacks: `for place in steps(...)` is its user's own loop. What
happens depends on the learner's state and the `Place` alone, random numbers included: saved together after any step,
they go on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Pixels, Scores
from kopal.descent import diverged
from kopal.errors import DataError, UsageError
from kopal.fit.learner import Learner, Photographs, Targets
from kopal.fit.world import ALONE, World
from kopal.metrics import log_loss, photo_weights
from kopal.stopping import Rule, Watch, asks_for_movement

PIXELS_SCORED_AT_ONCE = 1 << 19
SCORING_COSTS = 0.5
"""A photo scored over a photo learned from, at the most: forward only, against forward, backward and step."""

OUT_OF_TIME = "the time is used up"
LAST_SHARE = 1 - 1e-6
"""Of a training in time, at its last step. Validating may take longer than was left, and a step that is taken all the
same must not be of length 0, which some schedules come to at the very end."""

Rates: TypeAlias = Callable[[float, Sequence[float]], float]
"""(share of the training that is done, validation losses so far) → the learning rate."""

Prepare: TypeAlias = Callable[[Pixels, Labels, NDArray[np.int64], int], tuple[Pixels, Targets]]
"""(pixels, labels, their places in the training set, epoch) → what the net gets to see."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training photos. `train_loss` runs along while the weights change; validation comes after.

    `best` marks the least validation loss so far, below the one to beat if there is one; `stopped` is the reason when
    this epoch is the last.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    rate: float
    images_per_second: float
    seconds: float
    best: bool
    stopped: str = ""


def as_they_are(pixels: Pixels, labels: Labels, images: NDArray[np.int64], epoch: int) -> tuple[Pixels, Targets]:
    """No augmentation."""
    return pixels, labels


@dataclass(frozen=True)
class Lesson:
    """How to go through the photos: batches of `batch`, rates, when to stop, what is done to the pixels first.

    The schedule's horizon is `epochs`, or `budget` seconds, whichever comes first; the budget also ends the training,
    early enough to score the validation photos and `afterwards` times as many more. With `balance` photos are drawn so
    that every class comes as often, else each photo comes once an epoch. `beat` is the validation loss that an epoch
    must fall below to count as a gain: that of a net that was there before. `judge` gives the loss of scores, labels.
    """

    batch: int
    rates: Rates
    stop: Rule
    seed: int = 0
    epochs: float = float("inf")
    budget: float = float("inf")
    afterwards: float = 0.0
    balance: bool = False
    prepare: Prepare = as_they_are
    beat: float = float("inf")
    judge: Callable[[Scores, Labels], float] = log_loss


@dataclass(frozen=True)
class Place:
    """Where a training stands: `photos` of the `of` in epoch len(history) + 1 are done, `loss` is the sum of theirs.

    `ended` says that an epoch is done and validated: the last of `history`. `seconds` is all the time spent so far,
    `epoch_seconds` that of the epoch under way; `rate` is the last rate used, `cut` why the epoch ends early.
    """

    history: tuple[Epoch, ...] = ()
    photos: int = 0
    of: int = 0
    loss: float = 0.0
    rate: float = 0.0
    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    cut: str = ""

    @property
    def ended(self) -> Epoch | None:
        """The epoch that has just ended, if one has."""
        return self.history[-1] if self.history and not self.of else None

    @property
    def stopped(self) -> str:
        """Why the training is over, or ""."""
        return self.history[-1].stopped if self.history else ""


def steps(
    learner: Learner,
    train: Photographs,
    validation: Photographs,
    lesson: Lesson,
    world: World = ALONE,
    start: Place = Place(),
) -> Iterator[Place]:
    """Train until the lesson's rule says so; a `Place` after every step and, once validated, after every epoch.

    Raises `Diverged` where no epoch has gone well, `DataError`, `UsageError`.
    """
    _check(train, validation, lesson)
    watch = lesson.stop.watch()
    watch(0, lesson.beat, float("inf"))
    for epoch in start.history:
        watch(epoch.number, epoch.validation_loss, float("inf"))
    place, clock = start, _Clock(start.seconds)
    while not place.stopped:
        before = learner.weights() if asks_for_movement(lesson.stop) else {}
        for place in _through(learner, train, len(validation), lesson, world, place, clock):  # noqa: B020
            yield place
        place = _validated(learner, validation, world, place, clock, watch, before, lesson)
        yield place


def epochs(
    learner: Learner, train: Photographs, validation: Photographs, lesson: Lesson, world: World = ALONE
) -> Iterator[Epoch]:
    """`steps`, for those who only want to hear of whole epochs."""
    return (place.ended for place in steps(learner, train, validation, lesson, world) if place.ended)


def score(learner: Learner, photographs: Photographs, world: World = ALONE) -> Scores:
    """Photos → scores (n, K), a batch at a time; each process scores its share."""
    height, width, depth = photographs.pixels.shape[1:]
    # Activations are deep, and widen further on: count them as so many pixels of three colours.
    size = max(1, PIXELS_SCORED_AT_ONCE // (height * width * max(1, depth // 3)))
    mine = np.arange(len(photographs))[world.rank :: world.size]
    pieces = [
        learner.scores(photographs.take(mine[first : first + size])) for first in range(0, max(1, len(mine)), size)
    ]
    return world.interleaved(np.concatenate(pieces))


def _through(
    learner: Learner, train: Photographs, validates: int, lesson: Lesson, world: World, place: Place, clock: _Clock
) -> Iterator[Place]:
    """The batches of one epoch, or what is left of it."""
    number, losses = len(place.history) + 1, [epoch.validation_loss for epoch in place.history]
    began = clock.seconds() - place.epoch_seconds
    place = replace(place, of=len(train))
    for chosen in batches_of_epoch(train, lesson, number, world, place.photos):
        share = max((number - 1 + place.photos / len(train)) / lesson.epochs, place.seconds / lesson.budget)
        rate = lesson.rates(min(share, LAST_SHARE), losses)
        mine = chosen[world.rank :: world.size]
        pixels, targets = lesson.prepare(train.take(mine), train.labels[mine], mine, number)
        share_of_loss = learner.learn(pixels, targets, rate, len(chosen))
        # The first process's clock counts, so that all of them stop at the same step.
        loss, seconds = world.sums(share_of_loss, 0.0 if world.rank else clock.seconds())
        place = replace(
            place,
            photos=place.photos + len(chosen),
            loss=place.loss + loss * len(chosen),
            rate=rate,
            step=place.step + 1,
            seconds=seconds,
            epoch_seconds=seconds - began,
        )
        a_photo = place.epoch_seconds / place.photos
        still_to_score = validates * (1 + lesson.afterwards) * SCORING_COSTS * a_photo
        if not np.isfinite(loss):
            place = replace(place, cut=_lost(place, loss))
        elif seconds + still_to_score + a_photo * lesson.batch >= lesson.budget:
            place = replace(place, cut=OUT_OF_TIME)
        yield place
        if place.cut:
            return


def _validated(
    learner: Learner,
    validation: Photographs,
    world: World,
    place: Place,
    clock: _Clock,
    watch: Watch,
    before: Mapping[str, NDArray[Any]],
    lesson: Lesson,
) -> Place:
    """The place after an epoch has been judged by photos that it did not learn from."""
    number, best = len(place.history) + 1, min([lesson.beat, *(epoch.validation_loss for epoch in place.history)])
    scores = score(learner, validation, world)
    loss = lesson.judge(scores, validation.labels) if np.isfinite(scores).all() else float("nan")
    after = learner.weights() if before else {}
    moved = max((float(np.abs(after[name] - before[name]).max(initial=0)) for name in after), default=float("inf"))
    stopped = place.cut or watch(number, loss, moved)
    if not np.isfinite(loss):
        stopped = _lost(place, loss)
    (seconds,) = world.sums(0.0 if world.rank else clock.seconds())
    epoch = Epoch(
        number,
        place.loss / place.photos,
        loss,
        float((scores.argmax(axis=1) == validation.labels).mean()),
        place.rate,
        place.photos / place.epoch_seconds,
        place.epoch_seconds + seconds - place.seconds,
        loss < best,
        stopped,
    )
    return Place((*place.history, epoch), step=place.step, seconds=seconds)


def _lost(place: Place, loss: float) -> str:
    """Why a training that left the finite numbers ends; raises `Diverged` where there is no good epoch to keep."""
    error = diverged(place.step, loss, place.rate)
    if not place.history:
        raise error
    return f"{error.happened} ({error.fix})"


def _order(train: Photographs, lesson: Lesson, number: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([lesson.seed, number])
    if not lesson.balance:
        return rng.permutation(len(train))
    shares = photo_weights(train.labels, int(train.labels.max()) + 1, balance=True).astype(np.float64)
    return rng.choice(len(train), len(train), p=shares / shares.sum())


def batches_of_epoch(
    train: Photographs, lesson: Lesson, number: int, world: World = ALONE, done: int = 0
) -> Iterator[NDArray[np.int64]]:
    """The batches of an epoch after `done` photos, as places in the training set. They depend on seed and epoch alone.

    A last, shorter one with too few photos for batch norm is left out, but not an only one.
    """
    order = _order(train, lesson, number)
    for first in range(done, len(order), lesson.batch):
        chosen = order[first : first + lesson.batch]
        if len(chosen) == lesson.batch or len(chosen) >= 2 * world.size or first == 0:
            yield chosen


def _check(train: Photographs, validation: Photographs, lesson: Lesson) -> None:
    if lesson.batch < 1:
        raise UsageError(f"batch size {lesson.batch}", "1 or more")
    if not len(train) or not len(validation):
        raise DataError("no photos to train or to validate on", "at least one in each part")


class _Clock:
    """Seconds of training, going on from what an earlier process has spent."""

    def __init__(self, spent: float) -> None:
        self._zero = perf_counter() - spent

    def seconds(self) -> float:
        return perf_counter() - self._zero
