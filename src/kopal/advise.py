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

from kopal.fit.freedom import depth, stages
from kopal.learning_curve import Gain, LearningCurve
from kopal.nets.beside import STAGE
from kopal.nets.describe import describe
from kopal.nets.layers import Linear
from kopal.nets.net import Net
from kopal.recipes import Recipe, recipe
from kopal.similarity import FAMILIAR

Mode: TypeAlias = Literal["head", "last", "all", "trouble"]

MUCH = 150
"""Photos of the median class from which a set is much: a judgement, there is no law. A head on 100 a class of cats,
dogs and alpacas leaves nothing to gain (0.990); with 222, clothing, a fine-tuned net was two points above a head."""

CLEAR = 0.01
"""A gain of less than a point is not worth another day with the camera."""
GOOD = 0.95
LAST = 4
"""The stages, the head among them, that the advice would have learn where not all of them are to."""
EPOCHS = recipe(tune=f"last:{LAST}").epochs
"""As many as the commands that are advised take."""
MIRRORED = 2
"""What stays frozen is run on each photo and on its mirror image, once."""
BACKWARD = 3.0
"""Multiply-adds of a training step in those of a forward pass: one forward, one for the pixels, one for the weights."""
SLOWER = 3.2
"""Seconds per multiply-add of training on PyTorch in those of inference on ONNX Runtime: 21 photos a second were
trained where 200 are run, with EfficientNet-Lite0, bfloat16 and channels last on two cores."""

PLACES: dict[Mode, str] = {
    "head": "train the head only, on frozen features",
    "last": f"fine-tune: start from the head, then unfreeze the last stages (--tune last:{LAST})",
    "all": "fine-tune more stages, or all of them (--tune all)",
    "trouble": "trouble: too few photos to teach the net what it does not know",
}


@dataclass(frozen=True)
class Price:
    """Estimated `seconds` here of a training with --tune `tune`, which takes so many `epochs`."""

    tune: str
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Estimated seconds here to fit the head on features, and what each way to fine-tune this net would cost."""

    head: float
    tuning: tuple[Price, ...]


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
    """The place of a set in the 2x2, and everything that it was read from; `tunes` is what --tune can do here."""

    measured: Measured
    costs: Costs | None = None
    curve: LearningCurve | None = None
    no_curve: str = ""
    tunes: tuple[str, ...] = (f"last:{LAST}", "all")

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

    @property
    def tune(self) -> str:
        """What the advice would have --tune do; empty where it advises the head alone, or the net cannot be tuned."""
        wanted = self.mode if self.similar is not None else "last" if self.much else "head"
        if wanted not in ("last", "all") or not self.tunes:
            return ""
        return self.tunes[0] if wanted == "last" else "all"

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
        """A few short lines for the end of a training."""
        cost = [f"  {line}" for line in self._cost()]
        return [f"advice: {self._amount()}; {self._similarity()}", f"  {self._place()}", *cost, f"  {self._errors()}"]

    def sentences(self) -> Iterator[str]:
        """The whole advice, a thought a sentence."""
        yield f"{self._amount()}; {self._similarity()}"
        yield self._place()
        yield from self._cost()
        if self.similar is None:
            yield "similarity is read off a net's own head of ImageNet's 1000 classes, which these weights lack"
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
        if self.similar is None:
            if not self.much:
                return "the head only; if the photos are unlike ImageNet, more of them help first"
            return f"the head first, it is cheap{f'; then compare with --tune {self.tune}' if self.tune else ''}"
        if self.mode in ("last", "all") and not self.tune:
            return f"fine-tune a single net, such as --net {Recipe.net}: --tune does not take this one"
        return PLACES["all" if self.tune == "all" else self.mode]

    def _cost(self) -> Iterator[str]:
        """What the advised command would take, where that is known."""
        for price in self.costs.tuning if self.costs else ():
            if price.tune == self.tune:
                about = f"{_about(price.seconds)} (a factor of two either way)"
                yield f"--tune {price.tune}: {price.epochs} epochs, {about}"

    def _amount(self) -> str:
        return f"{'much' if self.much else 'little'} data, {self.measured.median:g} photos a class"

    def _similarity(self) -> str:
        if self.measured.prominence is None:
            return "similarity to ImageNet not known"
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


def _about(seconds: float) -> str:
    return "under a minute here" if seconds < 60 else f"about {round(seconds / 60)} min here"


def tunes(net: Net) -> tuple[str, ...]:
    """What --tune can do with a net, given without its head, least first; nothing with nets side by side."""
    below = len(stages(net))
    if not below or net.stages() == (STAGE,):
        return ()
    # With no more stages than that the last ones are all of them.
    return (f"last:{LAST}", "all") if below + 1 > LAST else ("all",)


def costs(net: Net, photos: int, forward: float, workers: int, fitting: float = 0.0) -> Costs:
    """Seconds from `forward`, those that one core takes to run the net on a photo, and the net's multiply-adds.

    Lower stages that stay frozen are computed once; what is unfrozen, forward and back, in each of `EPOCHS`.
    """
    rows, once = describe(net), photos * forward / workers
    total = sum(row.multiply_adds for row in rows)
    found = []
    for tune in tunes(net):
        own = stages(net)[1 - depth(tune, net.then("head", Linear(2))) :]
        learning = sum(row.multiply_adds for row in rows if row.path.split(".")[0] in own)
        share = 1.0 if tune == "all" else learning / total
        spent = once * (MIRRORED * (1 - share) + EPOCHS * BACKWARD * SLOWER * share)
        found.append(Price(tune, EPOCHS, spent))
    return Costs(fitting, tuple(found))
