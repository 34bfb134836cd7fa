"""A net that learns on our own autograd engine: forward, loss, backward, step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Pixels, Scores, keep_heap
from kopal.autograd import SGD, cross_entropy, initialise, no_grad
from kopal.backends.numpy_backend import arrays, forward, learning, tensors
from kopal.nets.describe import describe
from kopal.nets.net import Net

Array = NDArray[np.float32]


def start(net: Net, rng: np.random.Generator, init: str) -> dict[str, Array]:
    """Weights for a net: matrices and kernels by the initialiser, biases 0, norms the identity.

    The head starts small, whatever the initialiser: its scores should begin near 0, where every class is as likely as
    the next. Started as large as the layers before it, an unlucky draw costs an epoch.
    """
    rows = describe(net)
    weights: dict[str, Array] = {}
    for row in rows:
        for name, shape in (*row.learned.items(), *row.fixed.items()):
            full = f"{row.path}.{name}"
            if len(shape) > 1:
                weights[full] = initialise("normal" if row is rows[-1] and init != "zero" else init, rng, shape)
            else:
                # The scale of a norm, and the variance that it has seen, start at 1.
                ones = name in ("weight", "running_var")
                weights[full] = np.full(shape, 1 if ones else 0, np.float32)
    return weights


@final
class EngineLearner:
    """A net under way: stochastic gradient descent with momentum, one batch at a time.

    The cores are kept busy inside NumPy's products. Halves of a batch in two threads were tried: no faster, and batch
    norm then sees half a batch.
    """

    def __init__(
        self, net: Net, weights: Mapping[str, Array], rng: np.random.Generator, momentum: float, penalty: float
    ) -> None:
        keep_heap()
        self._net = net
        self._weights = learning(weights)
        self._rng = rng
        self._optimiser = SGD(tensors(self._weights), rate=1.0, momentum=momentum, decay=penalty)

    def learn(self, pixels: Pixels, labels: Labels, rate: float) -> float:
        """One step on one batch (N, H, W, C); returns the loss before it."""
        scores = forward(self._net, self._weights, planes(pixels), training=True, rng=self._rng)
        loss = cross_entropy(scores, labels)
        loss.backward()
        self._optimiser.rate = rate
        self._optimiser.step()
        return loss.item()

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels (N, H, W, C) → scores (N, K)."""
        with no_grad():
            return forward(self._net, self._weights, planes(pixels)).array

    def weights(self) -> dict[str, Array]:
        """A copy of all weights."""
        return {name: array.copy() for name, array in arrays(self._weights).items()}


def planes(pixels: Pixels) -> Array:
    """Pixels uint8 (N, H, W, C) → float32 (N, C, H, W), the values unchanged."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
