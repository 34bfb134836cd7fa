"""From gradients to better weights, in the order of complexity: SGD, momentum, Nesterov, Adam, AdamW.

An optimiser changes the tensors' arrays in place; `rate` may be set between steps, which is all a schedule does. For
different rules in one net make several optimisers, each over its own part of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kopal.autograd.errors import AutogradError
from kopal.autograd.function import Array
from kopal.autograd.tensor import Tensor

Decays = Callable[[str, Tensor], bool]


class Optimiser(Protocol):
    """Whatever turns the gradients of named weights into a step."""

    rate: float

    def step(self) -> None:
        """Move every weight that has a gradient, then forget the gradients."""

    def memory(self) -> dict[str, Array]:
        """A copy of what it remembers of the steps so far, as arrays by name, to be saved."""

    def remember(self, memory: Mapping[str, Array]) -> None:
        """The way back from `memory`."""


def clip(weights: Mapping[str, Tensor], norm: float) -> None:
    """Shorten the whole gradient to `norm` where it is longer; 0 leaves it. arXiv:1211.5063."""
    if not norm:
        return
    gradients = {name: weight.gradient for name, weight in weights.items()}
    squares = [float(np.square(g, dtype=np.float64).sum()) for g in gradients.values() if g is not None]
    length = float(np.sqrt(sum(squares)))
    for name, g in gradients.items():
        if g is not None and length > norm:
            # A new array: two weights may have been handed the very same gradient.
            weights[name].gradient = g * (norm / (length + 1e-6))


def matrices_only(name: str, weight: Tensor) -> bool:
    """Decay what multiplies; leave biases and the scales of norms, which have one axis, alone."""
    return weight.ndim > 1


@dataclass
class SGD:
    """w ← w - rate · v, where v = g, or with momentum a running sum of g (Sutskever et al. 2013, as in PyTorch).

    Nesterov looks one step of momentum ahead. `decay` adds decay · w to the gradient of what `decays` chooses.
    """

    weights: Mapping[str, Tensor]
    rate: float
    momentum: float = 0.0
    nesterov: bool = False
    decay: float = 0.0
    decays: Decays = matrices_only
    velocity: dict[str, Array] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        if self.nesterov and not self.momentum:
            raise AutogradError("nesterov without momentum", "momentum above 0, such as 0.9")

    def step(self) -> None:
        """Move every weight that has a gradient, then forget the gradients."""
        _check_rate(self.rate)
        for name, weight, g in _with_gradients(self.weights):
            if self.decay and self.decays(name, weight):
                g = g + self.decay * weight.array
            if self.momentum:
                if name in self.velocity:
                    self.velocity[name] *= self.momentum
                    self.velocity[name] += g
                else:
                    self.velocity[name] = g.copy()
                v = self.velocity[name]
                g = g + self.momentum * v if self.nesterov else v
            weight.array -= self.rate * g

    def memory(self) -> dict[str, Array]:
        """The velocities by weight."""
        return {name: array.copy() for name, array in self.velocity.items()}

    def remember(self, memory: Mapping[str, Array]) -> None:
        """The way back from `memory`."""
        self.velocity = {name: array.copy() for name, array in memory.items()}


@dataclass
class Adam:
    """A step of about `rate` in every direction: the mean gradient over its root mean square; arXiv:1412.6980.

    `decay` adds decay · w to the gradient of what `decays` chooses, and the root then divides it again: see AdamW.
    """

    weights: Mapping[str, Tensor]
    rate: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 0.0
    decays: Decays = matrices_only
    moments: dict[str, _Moments] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    def step(self) -> None:
        """Move every weight that has a gradient, then forget the gradients."""
        _check_rate(self.rate)
        for name, weight, g in _with_gradients(self.weights):
            if self.decay and self.decays(name, weight):
                g = g + self.decay * weight.array
            moments = self.moments.setdefault(name, _Moments.none_yet(weight.array))
            weight.array -= moments.step(g, self.rate, self.betas, self.epsilon)

    def memory(self) -> dict[str, Array]:
        """Both means and the count by weight."""
        return _written(self.moments)

    def remember(self, memory: Mapping[str, Array]) -> None:
        """The way back from `memory`."""
        self.moments = _read(memory)


@dataclass
class AdamW:
    """Adam, with weight decay beside the step and not inside the gradient; arXiv:1711.05101."""

    weights: Mapping[str, Tensor]
    rate: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 0.01
    decays: Decays = matrices_only
    moments: dict[str, _Moments] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    def step(self) -> None:
        """Move every weight that has a gradient, then forget the gradients."""
        _check_rate(self.rate)
        for name, weight, g in _with_gradients(self.weights):
            if self.decay and self.decays(name, weight):
                weight.array *= 1 - self.rate * self.decay
            moments = self.moments.setdefault(name, _Moments.none_yet(weight.array))
            weight.array -= moments.step(g, self.rate, self.betas, self.epsilon)

    def memory(self) -> dict[str, Array]:
        """Both means and the count by weight."""
        return _written(self.moments)

    def remember(self, memory: Mapping[str, Array]) -> None:
        """The way back from `memory`."""
        self.moments = _read(memory)


@dataclass
class _Moments:
    """Running means of a gradient and of its square, and how many gradients they have seen."""

    mean: Array
    square: Array
    seen: int

    @staticmethod
    def none_yet(weight: Array) -> _Moments:
        return _Moments(np.zeros_like(weight), np.zeros_like(weight), 0)

    def step(self, g: Array, rate: float, betas: tuple[float, float], epsilon: float) -> Array:
        self.seen += 1
        self.mean += (1 - betas[0]) * (g - self.mean)
        self.square *= betas[1]
        self.square += (1 - betas[1]) * g * g
        # Both means began at zero; the divisions undo that bias.
        root = np.sqrt(self.square)
        root *= 1 / (1 - betas[1] ** self.seen) ** 0.5
        root += epsilon
        np.divide(self.mean, root, out=root)
        root *= rate / (1 - betas[0] ** self.seen)
        return root


def _written(moments: Mapping[str, _Moments]) -> dict[str, Array]:
    return {
        f"{part}.{name}": np.array(getattr(own, part))
        for name, own in moments.items()
        for part in ("mean", "square", "seen")
    }


def _read(memory: Mapping[str, Array]) -> dict[str, _Moments]:
    names = [full.removeprefix("mean.") for full in memory if full.startswith("mean.")]
    return {
        name: _Moments(memory[f"mean.{name}"].copy(), memory[f"square.{name}"].copy(), int(memory[f"seen.{name}"]))
        for name in names
    }


def _with_gradients(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Array]]:
    for name, weight in weights.items():
        g = weight.gradient
        if g is not None:
            weight.clear_gradient()
            yield name, weight, g


def _check_rate(rate: float) -> None:
    if not 0 < rate < float("inf"):
        raise AutogradError(f"a learning rate of {rate}", "a positive number, such as 0.001")
