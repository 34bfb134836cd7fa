"""Every knob of a training, frozen, as JSON both ways. One dial, `effort`, sets the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from kopal.errors import UsageError

Effort: TypeAlias = Literal["quick", "balanced", "best"]
Start: TypeAlias = Literal["auto", "imagenet", "none"]
Engine: TypeAlias = Literal["auto", "numpy"]
Decay: TypeAlias = Literal["constant", "cosine"]
Init: TypeAlias = Literal["normal", "xavier", "he", "zero"]
Normalise: TypeAlias = Literal["channel", "pixel", "image"]


@dataclass(frozen=True)
class Recipe:
    """How to train. `net` is the architecture, `weights` where it starts: ImageNet's, frozen, or none; auto takes
    ImageNet's for the nets whose weights a package carries.

    On frozen features `penalties` are tried strongest first over `folds` folds. From none, `epochs`, `patience` (0 is
    endless) and `settled` say when to stop; `rate` with its `schedule`, `batch`, `momentum` and `penalty` (L2) how to
    step; `init` how the weights start; `normalise` what is taken off the pixels; `image_size` the side (0: the photos'
    own, or the net's). `balance` makes every class weigh the same; `seed` deals folds and parts, shuffles and starts.
    """

    net: str = "efficientnet-lite0"
    seed: int = 0
    balance: bool = False
    effort: Effort = "balanced"
    folds: int = 5
    penalties: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    search_tolerance: float = 1e-3
    final_tolerance: float = 1e-4
    weights: Start = "auto"
    engine: Engine = "auto"
    image_size: int = 0
    epochs: int = 10
    patience: int = 0
    settled: float = 0.0
    rate: float = 0.05
    schedule: Decay = "cosine"
    batch: int = 64
    momentum: float = 0.9
    penalty: float = 0.0
    init: Init = "he"
    normalise: Normalise = "channel"

    def as_json(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Plain values, some knobs left out; `Recipe.from_json` is the way back."""
        values = asdict(self) | {"penalties": list(self.penalties)}
        return {knob: value for knob, value in values.items() if knob not in without}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe from its JSON value. Raises `UsageError` for a knob that does not exist."""
        unknown = sorted(set(value) - {field.name for field in fields(Recipe)})
        if unknown:
            raise UsageError(f"a recipe with unknown knobs {unknown}", "the knobs of this version of kopal")
        return Recipe(**{**value, "penalties": tuple(value.get("penalties", Recipe.penalties))})


EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"folds": 3, "penalties": (1.0, 0.1, 0.01, 0.001), "epochs": 5},
    "balanced": {},
    "best": {"net": "efficientnet-lite2", "folds": 10, "epochs": 30},
}


OF_FEATURES = ("folds", "penalties", "search_tolerance", "final_tolerance")
OF_PIXELS = (
    *("engine", "image_size", "epochs", "patience", "settled", "rate", "schedule", "batch", "momentum", "penalty"),
    *("init", "normalise"),
)
"""The knobs that only one of the two ways of learning has."""


PER_NET: dict[str, dict[str, Any]] = {
    # One convex layer: small normal weights, as the lecture starts them, and small steps.
    "linear": {"init": "normal", "rate": 0.003, "epochs": 20},
}

_CHOICES: dict[str, Any] = {"weights": Start, "engine": Engine, "init": Init, "schedule": Decay, "normalise": Normalise}


def recipe(effort: str = "balanced", *, net: str | None = None, **knobs: Any) -> Recipe:
    """The recipe for an effort, with what the user said on top; a knob that is None keeps its default.

    Raises `UsageError` for what is unknown or out of range.
    """
    if effort not in EFFORTS:
        raise UsageError(f"unknown effort {effort!r}", f"one of: {', '.join(EFFORTS)}", "choose one of these")
    unknown = sorted(set(knobs) - {field.name for field in fields(Recipe)})
    if unknown:
        raise UsageError(f"unknown knobs {', '.join(unknown)}", "the fields of kopal.Recipe")
    said = {key: value for key, value in {"net": net, **knobs}.items() if value is not None}
    of_net = PER_NET.get(said.get("net", ""), {})
    made = Recipe(**{**of_net, **EFFORTS[effort], "effort": effort, **said})
    _check(made)
    return made


def _check(made: Recipe) -> None:
    for knob, choices in _CHOICES.items():
        if getattr(made, knob) not in get_args(choices):
            raise UsageError(f"unknown {knob} {getattr(made, knob)!r}", f"one of: {', '.join(get_args(choices))}")
    least = {
        "seed": 0,
        "image_size": 0,
        "epochs": 1,
        "patience": 0,
        "settled": 0,
        "batch": 1,
        "momentum": 0,
        "penalty": 0,
    }
    for knob, value in least.items():
        if not getattr(made, knob) >= value:
            raise UsageError(f"{knob} {getattr(made, knob)}", f"{value} or more")
    if not 0 < made.rate < float("inf"):
        raise UsageError(f"learning rate {made.rate}", "a number above 0")
    if made.momentum >= 1:
        raise UsageError(f"momentum {made.momentum}", "below 1: with 1 the steps would only ever grow")
