"""A net that learns on our own autograd engine: forward, loss, backward, step."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from kopal.arrays import Labels, Pixels, Scores
from kopal.autograd import SGD, Tensor, cross_entropy, initialise, no_grad, sharded_gradients
from kopal.backends.numpy_backend import Weights, arrays, forward, learning, tensors
from kopal.nets.describe import describe
from kopal.nets.net import Net
from kopal.parallel import cores

Array = NDArray[np.float32]
Floats = NDArray[Any]
MAX_SHARDS = 4


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
    """A net under way: stochastic gradient descent with momentum; a batch is shared out among threads."""

    def __init__(
        self, net: Net, weights: Mapping[str, Array], rng: np.random.Generator, momentum: float, penalty: float
    ) -> None:
        self._net = net
        self._weights = learning(weights)
        self._rng = rng
        self._optimiser = SGD(tensors(self._weights), rate=1.0, momentum=momentum, decay=penalty)
        self._blas = ThreadpoolController()
        self._shards = min(cores(), MAX_SHARDS)
        self._pool = ThreadPoolExecutor(self._shards, thread_name_prefix="kopal-engine")

    def learn(self, pixels: Pixels, labels: Labels, rate: float) -> float:
        """One step on one batch (N, H, W, C); returns the loss before it."""

        def loss(weights: Weights, images: Floats, targets: Floats, rng: np.random.Generator) -> Tensor:
            return cross_entropy(forward(self._net, weights, images, training=True, rng=rng), targets)

        # Each shard has a core to itself; a BLAS that threads as well would have them wait for one another.
        with self._blas.limit(limits=1, user_api="blas"):
            value = sharded_gradients(loss, self._weights, planes(pixels), labels, self._rng, self._pool, self._shards)
        self._optimiser.rate = rate
        self._optimiser.step()
        return value

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels (N, H, W, C) → scores (N, K)."""
        with no_grad():
            return forward(self._net, self._weights, planes(pixels)).array

    def weights(self) -> dict[str, Array]:
        """A copy of all weights."""
        return {name: array.copy() for name, array in arrays(self._weights).items()}


def planes(pixels: Pixels) -> Array:
    """uint8 (N, H, W, C) → float32 (N, C, H, W), the values unchanged."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
