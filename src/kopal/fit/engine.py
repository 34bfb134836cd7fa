"""A net that learns on our own autograd engine: forward, loss, backward, step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels, Scores
from kopal.autograd import SGD, Adam, AdamW, Optimiser, Tensor, clip, cross_entropy, initialise, no_grad
from kopal.backends.numpy_backend import arrays, forward, learning, tensors
from kopal.fit.learner import Targets, distributions
from kopal.fit.stepping import Stepping
from kopal.heap import keep_heap
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
    """A net under way on our own engine, one batch at a time.

    The cores are kept busy inside NumPy's products. Halves of a batch in two threads were tried: no faster, and batch
    norm then sees half a batch.
    """

    def __init__(self, net: Net, weights: Mapping[str, Array], stepping: Stepping = Stepping(), seed: int = 0) -> None:  # noqa: B008
        keep_heap()
        self._net, self._stepping, self._seed, self._steps = net, stepping, seed, 0
        self._weights = learning({name: array.copy() for name, array in weights.items()})
        self._optimiser = _optimiser(tensors(self._weights), stepping)
        self._average = {name: array.copy() for name, array in weights.items()} if stepping.average else {}

    def learn(self, pixels: Pixels, targets: Targets, rate: float, of: int = 0) -> float:
        """One step on one batch (N, H, W, C) with labels (N,) or distributions (N, K); see `Learner`."""
        # Dropout draws from a generator of this step alone, so that a resumed training drops what it would have.
        rng = np.random.default_rng([self._seed, self._steps])
        scores = forward(self._net, self._weights, planes(pixels), training=True, rng=rng)
        loss = cross_entropy(scores, distributions(targets, scores.shape[1], self._stepping.smoothing))
        if of:
            loss = loss * (len(pixels) / of)
        loss.backward()
        clip(tensors(self._weights), self._stepping.clip)
        self._optimiser.rate = rate
        self._optimiser.step()
        self._steps += 1
        now, kept = arrays(self._weights), self._stepping.kept(self._steps)
        for name, mean in self._average.items():
            mean += (1 - kept) * (now[name] - mean)
        return loss.item()

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels (N, H, W, C) → scores (N, K), of the running average where there is one."""
        with no_grad():
            return forward(self._net, self._average or self._weights, planes(pixels)).array

    def weights(self) -> dict[str, Array]:
        """A copy of all weights, of the running average where there is one."""
        return {name: array.copy() for name, array in (self._average or arrays(self._weights)).items()}

    def state(self) -> dict[str, Array]:
        """Weights, the optimiser's memory and the running average, by name."""
        state = {f"weights.{name}": array.copy() for name, array in arrays(self._weights).items()}
        state |= {f"average.{name}": array.copy() for name, array in self._average.items()}
        state |= {f"optimiser.{name}": array.copy() for name, array in self._optimiser.memory().items()}
        return state | {"steps": np.array(self._steps)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """The way back from `state`."""
        for prefix, own in (("weights", arrays(self._weights)), ("average", self._average)):
            for name, array in own.items():
                array[...] = state[f"{prefix}.{name}"]
        memory = {name: array for name, array in state.items() if name.startswith("optimiser.")}
        self._optimiser.remember({name.removeprefix("optimiser."): array for name, array in memory.items()})
        self._steps = int(state["steps"])


def _optimiser(weights: Mapping[str, Tensor], stepping: Stepping) -> Optimiser:
    match stepping.optimiser:
        case "adam":
            return Adam(weights, decay=stepping.penalty)
        case "adamw":
            return AdamW(weights, decay=stepping.penalty)
        case _:
            return SGD(
                weights, rate=1.0, momentum=stepping.momentum, nesterov=stepping.nesterov, decay=stepping.penalty
            )


def planes(pixels: Pixels) -> Array:
    """Pixels uint8 (N, H, W, C) → float32 (N, C, H, W), the values unchanged."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
