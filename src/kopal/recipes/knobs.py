"""Every knob of a training, frozen, as JSON both ways."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

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


def is_file(weights: str) -> bool:
    """Whether weights are a file's path, and not one of the words: it has an ending or a folder."""
    return weights not in STARTS and any(mark in weights for mark in "./\\")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
