"""The loop of a training with all that goes on around it: what is told, which weights are kept, what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from kopal.errors import CheckpointError, OutputError
from kopal.fit.checkpoint import Checkpoints, Saved
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Epoch, Lesson, Place, steps
from kopal.fit.world import ALONE, World
from kopal.log import Log, Note, Progress

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept while it goes on, and how often: after every epoch, and every so many steps (0: no).

    Process 0 alone has `checkpoints` to write. `saved` is the training to go on with.
    """

    checkpoints: Checkpoints | None = None
    every: int = 0
    saved: Saved | None = None


def kept(
    learner: Learner,
    learning: Photographs,
    validation: Photographs,
    lesson: Lesson,
    keeping: Keeping,
    found: Mapping[str, Any],
    log: Log,
    world: World = ALONE,
) -> tuple[Weights, tuple[Epoch, ...]]:
    """Train, or go on training → the best weights, the learner's first ones where no epoch was, and the history.

    `found` is what was measured before and would not be the same again. Raises what `steps` does.
    """
    start, best = Place(), learner.weights()
    if saved := keeping.saved:
        start, best = saved.place, saved.best or best
        _restore(learner, saved.state)
        log(start)
        log(Note(f"going on after epoch {len(start.history)}" + (f", step {start.step}" if start.photos else "")))
    history, fault = start.history, ""
    for place in steps(learner, learning, validation, lesson, world, start):
        if epoch := place.ended:
            history = place.history
            best = learner.weights() if epoch.best else best
            log(epoch)
        else:
            log(Progress("photos of the epoch", place.photos, place.of, f"loss {place.loss / place.photos:.4f}"))
        if place.ended or (keeping.every and place.step % keeping.every == 0 and not place.cut):
            before, fault = fault, _keep(keeping, place, learner, best, found)
            if fault and fault != before:
                log(Note(f"no checkpoint for now, the one before stays: {fault}"))
    return best, history


def _keep(keeping: Keeping, place: Place, learner: Learner, best: Weights, found: Mapping[str, Any]) -> str:
    """Write a checkpoint; why it could not be, or "". Hours of training are worth more: the one before is whole."""
    if keeping.checkpoints is None:
        return ""
    try:
        keeping.checkpoints.write(place, learner.state(), best, found)
    except OutputError as error:
        return error.happened
    return ""


def _restore(learner: Learner, state: Weights) -> None:
    """Give a fresh learner the state of another. Raises `CheckpointError` where it was one of another net."""
    for name, array in learner.state().items():
        if name not in state or state[name].shape != array.shape:
            raise CheckpointError(
                f"the checkpoint does not fit the net: {name}", "the net that it was made of", "start anew"
            )
    learner.restore(state)
