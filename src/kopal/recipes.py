"""Every knob of a training, frozen, as JSON both ways. One dial, `effort`, sets the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from kopal.errors import UsageError

Effort: TypeAlias = Literal["quick", "balanced", "best"]
STARTS = ("auto", "imagenet", "none")
Engine: TypeAlias = Literal["auto", "numpy", "torch"]
Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Amp: TypeAlias = Literal["auto", "off"]
OptimiserName: TypeAlias = Literal["sgd", "adam", "adamw"]
Decay: TypeAlias = Literal["constant", "step", "exponential", "cosine", "one-cycle", "plateau"]
Init: TypeAlias = Literal["normal", "xavier", "he", "zero"]
Normalise: TypeAlias = Literal["channel", "pixel", "image"]
HeadName: TypeAlias = Literal["logistic", "svm", "knn", "naive-bayes", "lda", "tree", "forest", "mlp", "all"]
Numbers: TypeAlias = Literal["float32", "int8"]
Augmentation: TypeAlias = Literal["none", "light", "medium", "strong"]
SetsName: TypeAlias = Literal["lac", "aps", "by-class"]


@dataclass(frozen=True)
class Recipe:
    """How to train. `net` is the architecture, `weights` where it starts: ImageNet's, frozen, none, or the path of a
    file, frozen too; auto takes ImageNet's for the nets whose weights a package carries. Several frozen nets, a plus
    between their names, work side by side.

    On frozen features `head` is what is fitted; of a logistic one `penalties` are tried, strongest first, over `folds`
    folds. `features` are the numbers that the frozen net computes in. `tune` says what of a pretrained net learns: its
    head alone, its last:N stages (the head among them), all of it, or all of it by and by (gradual).

    From none, and but for some where more than the head is tuned: `epochs` (0: as many as `budget` seconds allow),
    `patience` and `settled` (0: never) say when to stop; `rate` (0: found by a sweep) with its `schedule` after a
    `warmup` (a share of the training), `batch` (0: 64, tuned 32, or all photos where they are fewer), `optimiser`,
    `momentum`, `nesterov`, `penalty`, `smoothing`, `clip` and `average` how to step (`fit/stepping.py`); `init` how the
    weights start; `normalise` what is taken off the pixels; `augment` what happens to them; `image_size` the side (0:
    the photos' own, or the net's); `engine`, `device` and `amp` what computes, and in which numbers.

    `balance` makes every class weigh the same; `seed` deals folds and parts, shuffles, augments and starts.

    `coverage` is how often the set of classes that is answered shall hold the true one, by the kind of `sets`, and
    `max_error` the share of errors to stay below by not answering (0: one name, always). `unknown` puts into the file
    what tells photos of none of the classes: features of some of those that were learned from.
    """

    net: str = "efficientnet-lite0"
    seed: int = 0
    balance: bool = False
    effort: Effort = "balanced"
    folds: int = 5
    penalties: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    search_tolerance: float = 1e-3
    final_tolerance: float = 1e-4
    head: HeadName = "logistic"
    features: Numbers = "float32"
    weights: str = "auto"
    tune: str = "head"
    engine: Engine = "auto"
    device: Device = "auto"
    amp: Amp = "auto"
    image_size: int = 0
    epochs: int = 10
    budget: float = 0.0
    patience: int = 0
    settled: float = 0.0
    rate: float = 0.05
    schedule: Decay = "cosine"
    warmup: float = 0.0
    batch: int = 0
    optimiser: OptimiserName = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    penalty: float = 0.0
    smoothing: float = 0.0
    clip: float = 0.0
    average: float = 0.0
    init: Init = "he"
    normalise: Normalise = "channel"
    augment: Augmentation = "none"
    coverage: float = 0.0
    sets: SetsName = "lac"
    max_error: float = 0.0
    unknown: bool = True

    def as_json(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Plain values, some knobs left out; `Recipe.from_json` is the way back."""
        values = asdict(self) | {"penalties": list(self.penalties)}
        return {knob: value for knob, value in values.items() if knob not in without}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe from its JSON value. Raises `UsageError` for a knob that does not exist, or of another type."""
        unknown = sorted(set(value) - {field.name for field in fields(Recipe)})
        if unknown:
            raise UsageError(f"a recipe with unknown knobs {unknown}", "the knobs of this version of kopal")
        for field in fields(Recipe):
            usual, found = getattr(Recipe, field.name), value.get(field.name, getattr(Recipe, field.name))
            numbers = isinstance(usual, tuple) and isinstance(found, list | tuple) and all(map(_is_number, found))
            if not (numbers or type(found) is type(usual) or (isinstance(usual, float) and _is_number(found))):
                raise UsageError(f"a recipe with {field.name} {found!r}", f"such as {usual!r}")
        return Recipe(**{**value, "penalties": tuple(value.get("penalties", Recipe.penalties))})


OF_FEATURES = ("tune", "folds", "penalties", "search_tolerance", "final_tolerance", "head", "features")
OF_PIXELS = (
    *("engine", "device", "amp", "epochs", "budget", "patience", "settled", "rate", "schedule"),
    *("warmup", "batch", "optimiser", "momentum", "nesterov", "penalty", "smoothing", "clip", "average", "init"),
    *("normalise", "augment"),
)
"""The knobs that only one of the two ways of learning has."""
NOT_OF_TUNING = ("engine", "image_size", "init", "normalise", "features")
"""Those that fine-tuning, which has most of both, has not: the net comes with its weights, its size and its norms."""

EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"folds": 3, "penalties": (1.0, 0.1, 0.01, 0.001), "epochs": 5},
    "balanced": {},
    # Shifts and mirrors pay in long trainings only: garment loses five points by them in 8 epochs.
    "best": {"net": "efficientnet-lite2", "folds": 10, "epochs": 30, "augment": "medium"},
}

SIDE_BY_SIDE = "efficientnet-lite0+efficientnet-lite2"
"""What the best effort takes frozen features of: the two nets err on other photos (benchmarks/effort.py)."""

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
_TUNE = re.compile(r"head|all|gradual|last:[1-9]\d{0,3}")

_CHOICES: dict[str, Any] = {
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
    "image_size": 0,
    "epochs": 0,
    "budget": 0,
    "patience": 0,
    "settled": 0,
    "batch": 0,
    "momentum": 0,
    "penalty": 0,
    "clip": 0,
    "smoothing": 0,
    "average": 0,
    "warmup": 0,
}
_PROMISES = {"coverage": (0.5, 0.999), "max_error": (0.0001, 0.5)}
_BELOW_ONE = {
    "momentum": "with 1 the steps would only ever grow",
    "smoothing": "with 1 nothing would be left of the label",
    "average": "with 1 the average would never move",
    "warmup": "it is a share of the training",
}


def recipe(effort: str | None = None, *, net: str | None = None, like: Recipe | None = None, **knobs: Any) -> Recipe:
    """The recipe for an effort (balanced, unsaid), with what the user said on top; a knob that is None keeps its
    default, or what it is in the recipe `like`, which a said effort changes too.

    `rate` may be "auto", `budget` a duration such as "10m". Raises `UsageError` for what is unknown or out of range.
    """
    if effort is None and like is None:
        effort = "balanced"
    if effort is not None and effort not in EFFORTS:
        raise UsageError(f"unknown effort {effort!r}", f"one of: {', '.join(EFFORTS)}", "choose one of these")
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
        # Only the time ends a training that has a budget and no number of epochs.
        said.setdefault("epochs", 0)
    if like is not None:
        of_effort = {**EFFORTS[effort], "effort": effort} if effort else {}
        return _checked(replace(like, **{**of_effort, **said}))
    usual = {**PER_NET.get(said.get("net", ""), {}), **EFFORTS[effort or ""]}
    if effort == "best" and said.get("tune", "head") == "head" and said.get("weights", "auto") in ("auto", "imagenet"):
        usual["net"] = SIDE_BY_SIDE
    if said.get("tune", "head") != "head":
        # Efforts are about nets and folds here, and about how long it may go on.
        usual |= TUNED | ({"epochs": 12} if effort == "best" else {"epochs": 5} if effort == "quick" else {})
        usual |= TUNED_BY_SGD if said.get("optimiser") == "sgd" else {}
        usual |= {"penalty": 0.0} if said.get("optimiser") == "adam" else {}
    else:
        usual |= ADAPTIVE.get(said.get("optimiser", ""), {})
    return _checked(Recipe(**{**usual, "effort": effort, **said}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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


def is_file(weights: str) -> bool:
    """Whether weights are a file's path, and not one of the words: it has an ending or a folder."""
    return weights not in STARTS and any(mark in weights for mark in "./\\")


def _checked(made: Recipe) -> Recipe:
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
    for knob, (least, most) in _PROMISES.items():
        if getattr(made, knob) and not least <= getattr(made, knob) <= most:
            raise UsageError(f"{knob} {getattr(made, knob):g}", f"from {least:g} to {most:g}; or 0, to promise nothing")
    for knob, why in _BELOW_ONE.items():
        if getattr(made, knob) >= 1:
            raise UsageError(f"{knob} {getattr(made, knob)}", f"below 1: {why}")
