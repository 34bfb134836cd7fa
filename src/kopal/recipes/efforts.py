"""One dial, `effort`, that sets the knobs which the user does not, and what each net and each optimiser is used to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kopal.errors import UsageError
from kopal.recipes.check import checked
from kopal.recipes.knobs import NOT_OF_TUNING, Recipe, is_file

EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"folds": 3, "penalties": (1.0, 0.1, 0.01, 0.001), "epochs": 5},
    "balanced": {},
    # Shifts and mirrors pay in long trainings only: garment loses five points by them in 8 epochs.
    "best": {"net": "efficientnet-lite2", "folds": 10, "epochs": 30, "augment": "medium"},
}

SIDE_BY_SIDE = "efficientnet-lite0+efficientnet-lite2"
"""What the best effort takes frozen features of: the two nets err on other photos (benchmarks/effort.py)."""

EMBEDDED = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""The nets whose weights come in packages, so that they start pretrained unless told otherwise."""

_RESIDUAL: dict[str, Any] = {"penalty": 5e-4, "nesterov": True, "schedule": "one-cycle"}
PER_NET: dict[str, dict[str, Any]] = {
    # One convex layer: small normal weights, as the lecture starts them, and small steps.
    "linear": {"init": "normal", "rate": 0.003, "epochs": 20},
    **dict.fromkeys(("resnet9", "resnet20", "resnet20-slim", "resnet32", "resnet44", "resnet56"), _RESIDUAL),
}

ADAPTIVE: dict[str, dict[str, Any]] = {
    "adam": {"rate": 0.001, "nesterov": False, "penalty": 0.0},
    "adamw": {"rate": 0.001, "nesterov": False, "penalty": 0.01},
}
"""What Adam and AdamW start from: their steps are about as long as the rate itself."""

TUNED: dict[str, Any] = {
    "optimiser": "adamw",
    "rate": 2e-4,
    "nesterov": False,
    "schedule": "cosine",
    "penalty": 0.01,
    "smoothing": 0.1,
    "epochs": 8,
    "patience": 4,
    "warmup": 0.1,
    "average": 0.99,
    "augment": "medium",
}
"""What fine-tuning starts from: short steps, an average over the last epoch or so, and targets that a head can still
learn from that already knows its photos by heart."""
TUNED_BY_SGD: dict[str, Any] = {"rate": 0.001, "penalty": 1e-4}


def recipe(effort: str | None = None, *, net: str | None = None, like: Recipe | None = None, **knobs: Any) -> Recipe:
    """The recipe for an effort (balanced, unsaid), with what the user said on top; a knob that is None is not said.

    The best effort with a `budget` fine-tunes a pretrained net, as deep as that goes, unless `tune` is said.

    With `like` whatever the owner of that recipe said is said first, so that what is said besides brings its own
    defaults along. `rate` may be "auto", `budget` a duration such as "10m". Raises `UsageError` for what is unknown or
    out of range.
    """
    unknown = sorted(set(knobs) - {field.name for field in fields(Recipe)})
    if unknown:
        raise UsageError(f"unknown knobs {', '.join(unknown)}", "the fields of kopal.Recipe")
    said = {key: value for key, value in {"net": net, **knobs}.items() if value is not None}
    if "weights" in said:
        said["weights"] = os.fspath(said["weights"])
    if "rate" in said:
        said["rate"] = _rate(said["rate"])
    if said.get("batch", 1) < 1:
        raise UsageError(f"batch {said['batch']}", "1 or more")
    if "budget" in said:
        said["budget"] = duration(said["budget"])
    if like is not None:
        effort, said = effort or like.effort, {**_said(like), **said}
    return _made(effort or "balanced", said)


def recipe_from_json(value: Mapping[str, Any]) -> Recipe:
    """The recipe that a run keeps; knobs that it lacks, since it did not learn that way, are as its effort has them.

    Raises `UsageError`.
    """
    found = Recipe.from_json(value)
    said = {knob: getattr(found, knob) for knob in value if knob != "effort"}
    return _made(found.effort, said)


def _made(effort: str, said: dict[str, Any]) -> Recipe:
    return checked(_filled(effort, said))


def _filled(effort: str, said: Mapping[str, Any]) -> Recipe:
    return Recipe(**{**_defaults(effort, said), "effort": effort, **said})


def _may_tune(said: Mapping[str, Any]) -> bool:
    """Whether a pretrained net can take a budget: nothing was said that only frozen features, or only pixels, have."""
    net, weights = said.get("net", EMBEDDED[0]), said.get("weights", "auto")
    pretrained = weights == "imagenet" or is_file(weights) or (weights == "auto" and net in EMBEDDED)
    return pretrained and "+" not in net and not {"tune", "head", *NOT_OF_TUNING} & {*said}


def _defaults(effort: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What an effort stands for beside what was said, where it is not what every recipe has."""
    usual = dict(EFFORTS.get(effort, {}))
    if effort == "best" and said.get("budget") and _may_tune(said):
        usual["tune"] = "all"
    if said.get("tune", usual.get("tune", "head")) != "head":
        # Efforts are about nets and folds here, and about how long it may go on.
        usual |= TUNED | ({"epochs": 12} if effort == "best" else {"epochs": 5} if effort == "quick" else {})
        usual |= TUNED_BY_SGD if said.get("optimiser") == "sgd" else {}
        usual |= {"penalty": 0.0} if said.get("optimiser") == "adam" else {}
    else:
        usual = {**PER_NET.get(said.get("net", ""), {}), **usual, **ADAPTIVE.get(said.get("optimiser", ""), {})}
        if effort == "best" and said.get("weights", "auto") in ("auto", "imagenet"):
            usual["net"] = SIDE_BY_SIDE
    if said.get("momentum") == 0:
        # Nesterov's is a way to take the momentum: unsaid, it goes with it.
        usual["nesterov"] = False
    if said.get("budget"):
        # Only the time ends a training that has a budget and no number of epochs.
        usual["epochs"] = 0
    return usual


def _said(made: Recipe) -> dict[str, Any]:
    """What the owner of a recipe must have said besides its effort: whatever is not as it would be unsaid."""
    said = _besides(made, {})
    return said if _filled(made.effort, said) == made else _besides(made, {"tune": made.tune})


def _besides(made: Recipe, said: dict[str, Any]) -> dict[str, Any]:
    """The same, where of what --tune decides `said` is all that was said."""
    every = tuple(field.name for field in fields(Recipe) if field.name not in ("effort", "tune"))
    first = ("weights", "budget", "head", "features", "engine", "image_size")
    # What is usual for the later ones depends on the earlier.
    for knobs in (first, ("net",), ("optimiser",), ("momentum",), every):
        usual = {knob: getattr(Recipe, knob) for knob in knobs} | _defaults(made.effort, said)
        said = said | {knob: getattr(made, knob) for knob in knobs if getattr(made, knob) != usual[knob]}
    return said


def duration(said: str | float) -> float:
    """Seconds, from a number of them or from "90s", "10m", "1h30m". Raises `UsageError`."""
    if not isinstance(said, str):
        return float(said)
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", said.strip())
    if parts is None or not any(parts.groups()):
        raise UsageError(f"a duration of {said!r}", "such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return 3600 * hours + 60 * minutes + seconds


def _rate(said: str | float) -> float:
    if said == "auto":
        return 0.0
    try:
        rate = float(said)
    except ValueError:
        rate = -1.0
    if not 0 < rate < float("inf"):
        raise UsageError(f"learning rate {said}", "a number above 0, or auto")
    return rate
