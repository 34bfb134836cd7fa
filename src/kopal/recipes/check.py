"""What a recipe may say: names that are known, numbers in their range, knobs that go together."""

from __future__ import annotations

import re
from typing import Any, get_args

from kopal.errors import UsageError
from kopal.recipes.knobs import (
    STARTS,
    Amp,
    Augmentation,
    Decay,
    Device,
    Effort,
    Engine,
    HeadName,
    Init,
    Normalise,
    Numbers,
    OptimiserName,
    Recipe,
    SetsName,
    is_file,
)

_TUNE = re.compile(r"head|all|gradual|last:[1-9]\d{0,3}")

_CHOICES: dict[str, Any] = {
    "effort": Effort,
    "head": HeadName,
    "features": Numbers,
    "engine": Engine,
    "device": Device,
    "amp": Amp,
    "optimiser": OptimiserName,
    "init": Init,
    "schedule": Decay,
    "normalise": Normalise,
    "augment": Augmentation,
    "sets": SetsName,
}

_LEAST: dict[str, float] = {
    "seed": 0,
    "folds": 2,
    "image_size": 0,
    "epochs": 0,
    "budget": 0,
    "patience": 0,
    "settled": 0,
    "rate": 0,
    "batch": 0,
    "momentum": 0,
    "penalty": 0,
    "clip": 0,
    "smoothing": 0,
    "average": 0,
    "warmup": 0,
}
LARGEST_SEED = 2**32 - 1
"""scikit-learn takes no larger one."""
_PROMISES = {"coverage": (0.5, 0.999), "max_error": (0.0001, 0.5)}
_ABOVE_ZERO = ("search_tolerance", "final_tolerance")
_BELOW_ONE = {
    "momentum": "with 1 the steps would only ever grow",
    "smoothing": "with 1 nothing would be left of the label",
    "average": "with 1 the average would never move",
    "warmup": "it is a share of the training",
}


def checked(made: Recipe) -> Recipe:
    """The same recipe. Raises `UsageError`."""
    if made.weights not in STARTS and not is_file(made.weights):
        raise UsageError(
            f"unknown weights {made.weights!r}", f"one of: {', '.join(STARTS)}, or a file's path, such as weights.pth"
        )
    for knob, choices in _CHOICES.items():
        if getattr(made, knob) not in get_args(choices):
            raise UsageError(f"unknown {knob} {getattr(made, knob)!r}", f"one of: {', '.join(get_args(choices))}")
    if not _TUNE.fullmatch(made.tune):
        raise UsageError(f"--tune {made.tune}", "head, last:N (such as last:3), all, or gradual")
    if made.tune != "head" and made.weights == "none":
        raise UsageError(
            f"--tune {made.tune} with --weights none: there is nothing to fine-tune",
            "a net with pretrained weights",
            "leave one of the two out",
        )
    _check_ranges(made)
    if not made.epochs and not made.budget:
        raise UsageError("0 epochs", "1 or more, or a budget of time")
    if made.nesterov and not (made.optimiser == "sgd" and made.momentum):
        raise UsageError("nesterov without momentum", "--optimiser sgd with a --momentum above 0")
    if made.optimiser == "adam" and made.penalty:
        raise UsageError(
            "a penalty inside Adam's gradient, which its own scaling undoes",
            "adamw, which decays beside the step (arXiv:1711.05101)",
            "say --optimiser adamw",
        )
    return made


def _check_ranges(made: Recipe) -> None:
    for knob, value in _LEAST.items():
        if not value <= getattr(made, knob) < float("inf"):
            raise UsageError(f"{knob} {getattr(made, knob)}", f"{value:g} or more")
    if made.seed > LARGEST_SEED:
        raise UsageError(f"seed {made.seed}", f"a whole number from 0 to {LARGEST_SEED}")
    for knob in _ABOVE_ZERO:
        if not 0 < getattr(made, knob) < float("inf"):
            raise UsageError(f"{knob} {getattr(made, knob)}", f"a number above 0, such as {getattr(Recipe, knob):g}")
    if not made.penalties or not all(0 < penalty < float("inf") for penalty in made.penalties):
        raise UsageError(
            f"penalties {list(made.penalties)}", "one or more numbers above 0, the strongest first, such as [1, 0.1]"
        )
    for knob, (least, most) in _PROMISES.items():
        if getattr(made, knob) and not least <= getattr(made, knob) <= most:
            raise UsageError(f"{knob} {getattr(made, knob):g}", f"from {least:g} to {most:g}; or 0, to promise nothing")
    for knob, why in _BELOW_ONE.items():
        if getattr(made, knob) >= 1:
            raise UsageError(f"{knob} {getattr(made, knob)}", f"below 1: {why}")
