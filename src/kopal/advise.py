"""What to do with these photos: the lecture's 2x2, little or much and similar or different, from what was measured.

                 similar                         different
    little       the head only                   trouble
    much         the head, then a few stages     more stages, or all

Similar is measured (`similarity.py`), so is what more photos would bring (`learning_curve.py`); minutes
are estimated, and what nobody can know before trying is called not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from kopal.learning_curve import Gain, LearningCurve
from kopal.nets.describe import describe
from kopal.nets.net import Net
from kopal.similarity import FAMILIAR

Mode: TypeAlias = Literal["head", "last", "all", "trouble"]

MUCH = 150
"""Photos of the median class from which a set is much: a judgement, there is no law. A head on 100 a class of cats,
dogs and alpacas leaves nothing to gain (0.990); with 222, clothing, a fine-tuned net was two points above a head."""

CLEAR = 0.01
"""A gain of less than a point is not worth another day with the camera."""
GOOD = 0.95
LAST = 2
EPOCHS = 5
"""So many brought clothing from 0.88 to 0.90 and above."""
BACKWARD = 3.0
"""Multiply-adds of a training step in those of a forward pass: one forward, one for the pixels, one for the weights."""
SLOWER = 3.2
"""Seconds per multiply-add of training on PyTorch in those of inference on ONNX Runtime: 21 photos a second were
trained where 200 are run, with EfficientNet-Lite0, bfloat16 and channels last on two cores."""

PLACES: dict[Mode, str] = {
    "head": "train the head only, on frozen features",
    "last": "fine-tune: start from the head, then unfreeze the last stages (--tune last:4)",
    "all": "fine-tune more stages, or all of them (--tune all)",
    "trouble": "trouble: too few photos to teach the net what it does not know",
}


@dataclass(frozen=True)
class Costs:
    """Estimated seconds here: to fit the head on features, to fine-tune the last stages, and the whole net."""

    head: float
    last: float
    all: float


@dataclass(frozen=True)
class Measured:
    """What is known of the photos: how many, `median` and `fewest` of a class, and how the head does out of fold.

    `prominence` says how familiar they are (None: not measured), `log_evidence` how well the features fit the labels,
    `seen` is the head's accuracy on the photos that it learned from (None: not known), `tiny` that all of them are at
    most 64 pixels a side.
    """

    photos: int
    classes: int
    median: float
    fewest: int
    accuracy: float
    interval: tuple[float, float]
    prominence: float | None
    seen: float | None
    tiny: bool
    log_evidence: float | None = None


@dataclass(frozen=True)
class Advice:
    """The place of a set in the 2x2, and everything that it was read from."""

    measured: Measured
    costs: Costs | None = None
    curve: LearningCurve | None = None
    no_curve: str = ""

    @property
    def much(self) -> bool:
        """Whether the median class has `MUCH` photos."""
        return self.measured.median >= MUCH

    @property
    def similar(self) -> bool | None:
        """Whether the backbone knows such photos; None where that could not be measured."""
        known = self.measured.prominence
        return None if known is None else known >= FAMILIAR

    @property
    def mode(self) -> Mode:
        """What follows from the 2x2; where similar is not known, what is cheap."""
        if self.similar is False:
            return "all" if self.much else "trouble"
        return "last" if self.much and self.similar else "head"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        similar = {True: "similar", False: "different", None: "not known"}[self.similar]
        value: dict[str, Any] = {
            "amount": "much" if self.much else "little",
            "similarity": similar,
            "mode": self.mode,
            "measured": asdict(self.measured),
            "limits": {"photos_per_class": MUCH, "prominence": FAMILIAR},
            "sentences": list(self.sentences()),
        }
        if self.costs:
            value["seconds"] = asdict(self.costs)
        if self.curve:
            value["learning_curve"] = self.curve.as_json()
        return value | ({"no_learning_curve": self.no_curve} if self.no_curve else {})

    def glance(self) -> list[str]:
        """Three short lines for the end of a training."""
        return [f"advice: {self._amount()}; {self._similarity()}", f"  {self._place()}", f"  {self._errors()}"]

    def sentences(self) -> Iterator[str]:
        """The whole advice, a thought a sentence."""
        yield f"{self._amount()}; {self._similarity()}"
        yield self._place()
        if 2 * self.measured.fewest <= self.measured.median:
            yield f"the smallest class has {self.measured.fewest}: more of those would help first"
        yield from self._help()
        yield self._errors()
        yield self.more_photos()

    def more_photos(self) -> str:
        """The answer to "do I need more photos?" in one sentence."""
        if self.curve is None:
            return f"more photos: not known; {self.no_curve or 'the learning curve was not measured'}"
        twice, four = self.curve.gain(2), self.curve.gain(4)
        if twice.gain >= CLEAR:
            answer = "yes" if twice.low >= CLEAR / 2 else "perhaps"
        else:
            answer = "hardly" if twice.high >= CLEAR else "no"
        return (
            f"more photos: {answer}; twice as many are expected to bring {_points(twice)}, "
            f"four times as many {_points(four)}"
        )

    def _place(self) -> str:
        if self.mode == "trouble" and self.measured.accuracy >= GOOD:
            return f"stay with the head; by the rule this is trouble, yet it reaches {self.measured.accuracy:.3f}"
        return PLACES[self.mode]

    def _amount(self) -> str:
        return f"{'much' if self.much else 'little'} data, {self.measured.median:g} photos a class"

    def _similarity(self) -> str:
        if self.measured.prominence is None:
            return "similarity to ImageNet not measured"
        return (
            f"{'similar to' if self.similar else 'unlike'} ImageNet ({self.measured.prominence:.1f}, limit {FAMILIAR})"
        )

    def _help(self) -> Iterator[str]:
        scratch = "--net resnet20 --weights none --augment light"
        if self.mode == "trouble" and self.measured.accuracy < GOOD:
            yield "what helps: more photos first of all; a backbone that knows such photos (--net)"
            if self.measured.tiny:
                yield f"tiny photos: a small net from scratch may win ({scratch})"
            else:
                yield "then augmentation, which makes more of the photos there are"
        elif self.mode == "all" and self.measured.tiny:
            yield f"tiny photos: compare a small net from scratch ({scratch})"

    def _errors(self) -> str:
        """What fine-tuning can gain: only its bound is known, and whether the features or the photos are the limit."""
        wrong, seen = 1 - self.measured.accuracy, self.measured.seen
        if wrong < CLEAR:
            return f"{100 * wrong:.1f} % are wrong: there is little left to gain"
        if seen is not None and 1 - seen > wrong / 2:
            return f"{100 * wrong:.1f} % are wrong, half of that even where learned: the features are the limit"
        return f"{100 * wrong:.1f} % are wrong: fine-tuning gains at most that, how much is not known"


def _points(gain: Gain) -> str:
    return f"{100 * gain.gain:.1f} points ({100 * gain.low:.1f} to {100 * gain.high:.1f})"


def costs(net: Net, photos: int, forward: float, workers: int, fitting: float) -> Costs:
    """Seconds from `forward`, those that one core takes to run the net on a photo, and the net's multiply-adds.

    Lower stages that stay frozen are computed once; what is unfrozen, forward and back, in each of `EPOCHS`.
    """
    rows = describe(net)
    learning = [stage for stage in net.stages() if any(r.parameters for r in rows if r.path.split(".")[0] == stage)]
    total = sum(row.multiply_adds for row in rows)
    last = sum(row.multiply_adds for row in rows if row.path.split(".")[0] in learning[-LAST:])
    once = photos * forward / workers
    whole = EPOCHS * BACKWARD * SLOWER * once
    return Costs(fitting, once * (1 - last / total) + whole * last / total, whole)
