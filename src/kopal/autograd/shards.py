"""One batch, several threads: each takes a share of the samples, and the gradients are summed.

NumPy lets go of Python's lock while it computes, and most of its functions use one core; so two halves of a batch
side by side keep two cores busy where one whole batch leaves the second idle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TypeAlias

import numpy as np

from kopal.autograd.errors import ShapeMismatch
from kopal.autograd.function import Array
from kopal.autograd.tensor import Tensor

Weights: TypeAlias = Mapping[str, Tensor | Array]
Loss: TypeAlias = Callable[[Weights, Array, Array, np.random.Generator], Tensor]


def sharded_gradients(
    loss: Loss,
    weights: Weights,
    images: Array,
    targets: Array,
    rng: np.random.Generator,
    pool: Executor,
    shards: int = 2,
) -> float:
    """Gradients of the mean loss over a batch, left in the weights as by `backward`; returns that loss.

    `loss(weights, images, targets, rng)` is the mean over the samples it is given; each shard gets its part of the
    arrays, weights of its own that share their arrays, and a generator of its own. Plain arrays among the weights are
    running statistics: shards move copies, whose mean is written back. Batch norm sees the statistics of a shard.
    """
    if len(images) != len(targets) or not len(images):
        raise ShapeMismatch(
            f"sharded_gradients of images {images.shape} and targets {targets.shape}", "equally many, at least one"
        )
    shards = min(shards, len(images))
    parts = zip(np.array_split(images, shards), np.array_split(targets, shards), rng.spawn(shards), strict=True)

    def work(part: tuple[Array, Array, np.random.Generator]) -> tuple[float, dict[str, Tensor | Array]]:
        own = {name: _own(weight) for name, weight in weights.items()}
        value = loss(own, *part)
        share = len(part[0]) / len(images)
        value.backward(np.full(value.shape, share, value.dtype))
        return value.item() * share, own

    results = list(pool.map(work, parts))
    for name, weight in weights.items():
        owns = [own[name] for _, own in results]
        if isinstance(weight, Tensor):
            found = [own.gradient for own in owns if isinstance(own, Tensor) and own.gradient is not None]
            for gradient in found if weight.wants_gradient else []:
                weight.gradient = gradient if weight.gradient is None else weight.gradient + gradient
        else:
            weight[...] = np.mean([own for own in owns if isinstance(own, np.ndarray)], axis=0, dtype=weight.dtype)
    return sum(value for value, _ in results)


def _own(weight: Tensor | Array) -> Tensor | Array:
    return Tensor(weight.array, weight.wants_gradient) if isinstance(weight, Tensor) else weight.copy()
