"""A multilayer perceptron on the features: one hidden layer, ReLU, Adam (scikit-learn's MLPClassifier).

How long it learns is what is tried out of fold: one training gives a head after so many passes, and so many more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores
from kopal.fit.heads.head import Head, HeadKind, Option, two_columns
from kopal.fit.heads.standard import standard
from kopal.fit.logistic import Affine
from kopal.nets.fold import Weights
from kopal.nets.layers import Activation, Layer, Linear, chain

HIDDEN, PENALTY, RATE, BATCH = 64, 1.0, 1e-3, 200
FEWEST_STEPS = 12
"""Steps in a pass at the least; fewer photos are gone over as often as makes these."""


@dataclass(frozen=True)
class HiddenHead:
    """scores = w₂ · max(0, w₁ · x + b₁) + b₂; the features are standardised in w₁ and b₁."""

    hidden: Affine
    out: Affine

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        return self.out.scores(np.maximum(self.hidden.scores(features), 0))

    def layer(self) -> Layer:
        """Two Linear layers with a ReLU between them."""
        return chain(
            hidden=Linear(len(self.hidden.bias)), activation=Activation("relu"), out=Linear(len(self.out.bias))
        )

    def weights(self) -> Weights:
        """The layers' arrays."""
        named = {"hidden": self.hidden, "out": self.out}
        return {
            f"{name}.{kind}": array
            for name, affine in named.items()
            for kind, array in (("weight", affine.weight), ("bias", affine.bias))
        }

    def holds(self) -> str:
        """Nothing of the photos."""
        return ""


def fit(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A head per option, after so many `passes` over the photos; the options run upwards."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - costs a second: only where it is wanted

    scaling = standard(features, weights)
    z = scaling.apply(features)
    rng = np.random.default_rng(seed)
    batch = min(BATCH, len(z))
    net = MLPClassifier(
        (HIDDEN,), alpha=PENALTY, batch_size=batch, learning_rate_init=RATE, shuffle=False, random_state=seed
    )
    rounds = -(-FEWEST_STEPS // -(-len(z) // batch))
    drawn = weights.astype(np.float64) / weights.sum()
    uneven = bool(np.ptp(weights))
    heads: list[Head] = []
    done = 0
    for option in options:
        for _ in range((int(option["passes"]) - done) * rounds):
            # Photos that weigh more are seen more often.
            order = rng.choice(len(z), len(z), p=drawn) if uneven else rng.permutation(len(z))
            net.partial_fit(z[order], labels[order], classes=np.arange(classes))
        done = int(option["passes"])
        first, second = (array.T.astype(np.float64) for array in net.coefs_)
        bias = two_columns(net.intercepts_[1][None])[0]
        out = Affine(two_columns(second.T).T.astype(np.float32), bias.astype(np.float32))
        heads.append(HiddenHead(scaling.before(first, net.intercepts_[0]), out))
    return heads


MLP = HeadKind(
    "mlp",
    fit,
    tuple({"passes": float(passes)} for passes in (3, 6, 12, 24, 48)),
    tuple({"passes": float(passes)} for passes in (6, 24)),
)
