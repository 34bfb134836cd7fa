"""What a head is: a function of features that can also say itself as a layer of a net with its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Floats, Labels, Scores
from kopal.nets.fold import Weights
from kopal.nets.heads import FLOOR
from kopal.nets.layers import Layer

Option: TypeAlias = Mapping[str, float]
"""What is tried out of fold, such as {"C": 10, "gamma": 0.3}; empty where there is nothing to choose."""


class Head(Protocol):
    """A fitted head: `layer` and `weights`, named from the head's path on, compute the same as `scores`."""

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""

    def layer(self) -> Layer:
        """The head as what a net ends in."""

    def weights(self) -> Weights:
        """The layer's arrays."""

    def holds(self) -> str:
        """What of the photos is in the head, in words; empty for heads that only keep what they have learned."""


Fit: TypeAlias = Callable[[Features, Labels, NDArray[np.float32], int, Sequence[Option], int], list[Head]]
"""Features (N, D), labels (N,) with every class 0..K-1 among them, K ≥ 2, weights (N,), K, options, seed → a head for
each option."""


@dataclass(frozen=True)
class HeadKind:
    """A way to fit heads, with the options to try and those of a quick training; `most` photos it can learn from."""

    name: str
    fit: Fit
    options: tuple[Option, ...] = ({},)
    quick: tuple[Option, ...] = ({},)
    most: int | None = None


def in_words(option: Option) -> str:
    """Such as "C 10, gamma 0.3"."""
    return ", ".join(f"{name} {value:g}" for name, value in option.items())


def floored_log(probabilities: Floats) -> Scores:
    """Probabilities (N, K) → the scores of a head that has nothing else: log max(p, 1e-6)."""
    return np.log(np.maximum(probabilities, FLOOR)).astype(np.float32)


def two_columns(scores: Floats) -> Floats:
    """One column s, as scikit-learn gives for two classes → (-s / 2, s / 2), of which the softmax is the same."""
    return np.concatenate([-scores / 2, scores / 2], axis=-1) if scores.shape[-1] == 1 else scores
