"""What every way of learning gives: a net with its weights, and what it says of the photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kopal.arrays import Features, Scores
from kopal.features import Backbone
from kopal.fit.loop import Epoch
from kopal.images import Geometry
from kopal.nets.fold import Weights
from kopal.nets.net import Net


@dataclass(frozen=True)
class Contender:
    """A kind of features that took part: out-of-fold accuracy and calibrated log loss at its best penalty."""

    name: str
    accuracy: float
    log_loss: float


@dataclass(frozen=True)
class Kept:
    """What came of a fine-tuning: the `epoch` whose weights are kept, 0 for the probe's, and how both validated.

    `stages` are those that were to learn; `why` says what kept them from it, where no epoch was tried.
    """

    epoch: int
    loss: float
    accuracy: float
    probe_loss: float
    probe_accuracy: float
    stages: tuple[str, ...]
    why: str = ""

    def in_words(self) -> str:
        """What fine-tuning gained over the probe, in one line."""
        if not self.epoch:
            return "fine-tuning gained nothing over the head on frozen features, which is kept"
        points = 100 * (self.accuracy - self.probe_accuracy)
        return (
            f"fine-tuning gained {points:+.1f} points of validation accuracy over the head on frozen features, "
            f"{self.probe_accuracy:.3f} → {self.accuracy:.3f}"
        )


@dataclass(frozen=True)
class HeadRow:
    """One of several heads that were compared: accuracy with its 95 % interval on `n` photos, out-of-fold log loss.

    `seconds` it took to fit, `bytes` of the graph that it makes.
    """

    head: str
    accuracy: float
    interval: tuple[float, float]
    n: int
    log_loss: float
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Fitted:
    """A net with all its weights, and its scores (N, K) of the photos it was given, row by row.

    A head on frozen features scores photos of the train part out of fold. A net learned from pixels has seen them, so
    their rows are NaN: nobody can mistake them for a measurement. `penalty` and `contenders` are the former's,
    `rate`, the learning rate, and `history` the latter's. A net that was fine-tuned has both, and what was `kept`.
    `origin` says where weights that were not learned here come from. `features` (N, D) are what a head on frozen
    features sees of the photos, row by row.

    A head of another kind than the softmax regression says which `option` won and what it `holds` of the photos, in
    words; where all kinds were compared, `heads` has a row for each, the best first, and `left_out` says which kinds
    were not, and why. `backbone` is the frozen net
    that the photos' features were computed by.
    """

    net: Net
    weights: Weights
    geometry: Geometry
    scores: Scores
    penalty: float | None = None
    contenders: tuple[Contender, ...] = ()
    rate: float | None = None
    history: tuple[Epoch, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    kept: Kept | None = None
    head: str = "logistic"
    option: str = ""
    holds: str = ""
    heads: tuple[HeadRow, ...] = ()
    left_out: tuple[str, ...] = ()
    features: Features | None = None
    backbone: Backbone | None = None

    @property
    def stopped(self) -> str:
        """Why a net that learned from pixels, or on from them, learned no longer."""
        if self.history:
            return self.history[-1].stopped
        if self.kept and self.kept.why:
            return self.kept.why
        return "it diverged" if self.rate else "no learning rate brought the loss down"
