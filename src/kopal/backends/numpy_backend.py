"""A net on our own autograd engine: no framework, every gradient readable.

Weights are what they are for every backend, arrays by name; those that learn are tensors. Running statistics of batch
norm are plain arrays always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal import autograd
from kopal.autograd import Tensor
from kopal.errors import PixelsError, UsageError, WeightsError
from kopal.nets.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Custom,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Normalize,
    TorchModule,
)
from kopal.nets.net import Net
from kopal.nets.run import Table, run

Array: TypeAlias = NDArray[Any]
Weights: TypeAlias = Mapping[str, Tensor | Array]
STATISTICS = ("running_mean", "running_var")


def forward(
    net: Net,
    weights: Weights,
    images: Tensor | Array,
    training: bool = False,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Pixel values 0..255, float (N, C, H, W) → what the net computes of them.

    Training switches dropout on, which draws from `rng`, and lets batch norm use the batch and move its running
    statistics in place; a batch norm whose weight is a plain array is frozen and does neither. Raises `PixelsError` for
    images of another size than the net's and `WeightsError` where weights are missing.
    """
    height, width, channels = net.image
    if images.shape[1:] != (channels, height, width):
        raise PixelsError(
            f"net {net.name} got images of shape {images.shape}", f"(N, {channels}, {height}, {width}), channels first"
        )
    x = images if isinstance(images, Tensor) else Tensor(images)
    return run(net.body, weights, x, table(training, rng))


def learning(
    weights: Mapping[str, Array], learns: Callable[[str], bool] = lambda name: True
) -> dict[str, Tensor | Array]:
    """Arrays by name → the same arrays, those to be learned as tensors that want gradients, the rest as they are."""
    return {
        name: Tensor(array, wants_gradient=True) if not name.endswith(STATISTICS) and learns(name) else array
        for name, array in weights.items()
    }


def tensors(weights: Weights) -> dict[str, Tensor]:
    """The weights that learn, for an optimiser."""
    return {name: weight for name, weight in weights.items() if isinstance(weight, Tensor) and weight.wants_gradient}


def arrays(weights: Weights) -> dict[str, Array]:
    """All weights as plain arrays, for saving and for the other backends."""
    return {name: weight.array if isinstance(weight, Tensor) else weight for name, weight in weights.items()}


def table(training: bool = False, rng: np.random.Generator | None = None) -> Table[Tensor, Tensor | Array]:
    """The leaves on the engine, for `kopal.nets.run.run`."""

    def batch_norm(layer: BatchNorm, path: str, weights: Weights, x: Tensor) -> Tensor:
        weight, bias, *running = (_weight(weights, path, name) for name in ("weight", "bias", *STATISTICS))
        mean, var = (array.array if isinstance(array, Tensor) else array for array in running)
        moves = training and isinstance(weight, Tensor)
        return autograd.batch_norm(x, weight, bias, mean, var, moves, layer.epsilon, layer.momentum)

    def dropout(layer: Dropout, path: str, weights: Weights, x: Tensor) -> Tensor:
        if not training or not layer.rate:
            return x
        if rng is None:
            raise UsageError(
                f"{path}: dropout in training without a generator", "rng, such as np.random.default_rng(0)"
            )
        return autograd.dropout(x, layer.rate, rng)

    return Table(
        {**_LEAVES, BatchNorm: batch_norm, Dropout: dropout},
        add=lambda path, first, second: first + second,
        multiply=lambda path, x, gate: x * gate,
        concat=lambda path, branches: autograd.concat(branches, axis=1),
    )


def _weight(weights: Weights, path: str, name: str) -> Tensor | Array:
    try:
        return weights[f"{path}.{name}"]
    except KeyError:
        raise WeightsError(f"the weights lack {path}.{name}", "every array that the net needs, by full name") from None


def _custom(layer: Custom, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.apply(layer.function, x, *(_weight(weights, path, name) for name, _ in layer.parameters))


def _torch_module(layer: TorchModule, path: str, weights: Weights, x: Tensor) -> Tensor:
    raise UsageError(
        f"{path}: {layer.name} is a torch module, and the NumPy engine cannot run it",
        "a net that kopal describes itself, or the torch engine",
        "--engine torch, with pip install 'kopal[torch]'",
    )


def _conv(layer: Conv, path: str, weights: Weights, x: Tensor) -> Tensor:
    bias = _weight(weights, path, "bias") if layer.bias else None
    weight = _weight(weights, path, "weight")
    return autograd.conv2d(x, weight, bias, layer.stride, layer.padding, layer.groups, layer.dilation)


def _linear(layer: Linear, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.linear(x, _weight(weights, path, "weight"), _weight(weights, path, "bias") if layer.bias else None)


def _normalize(layer: Normalize, path: str, weights: Weights, x: Tensor) -> Tensor:
    # (x / 255 - mean) / std as one multiplication and one addition
    mean, std = np.array(layer.mean, np.float64), np.array(layer.std, np.float64)
    scale, shift = (array.reshape(-1, 1, 1).astype(x.dtype) for array in (1 / (255 * std), -mean / std))
    return x * scale + shift


def _activation(layer: Activation, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.activation(layer.name, x)


def _max_pool(layer: MaxPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.max_pool2d(x, layer.kernel, layer.stride, layer.padding, layer.ceil)


def _avg_pool(layer: AvgPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.avg_pool2d(x, layer.kernel, layer.stride, layer.padding)


def _global_avg_pool(layer: GlobalAvgPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.global_avg_pool(x)


def _local_response_norm(layer: LocalResponseNorm, path: str, weights: Weights, x: Tensor) -> Tensor:
    return autograd.local_response_norm(x, layer.size, layer.alpha, layer.beta, layer.k)


def _flatten(layer: Flatten, path: str, weights: Weights, x: Tensor) -> Tensor:
    count, *rest = x.shape
    return x.reshape(count, int(np.prod(rest)))


_LEAVES: Mapping[type, Callable[[Any, str, Weights, Tensor], Tensor]] = {
    Custom: _custom,
    TorchModule: _torch_module,
    Conv: _conv,
    LocalResponseNorm: _local_response_norm,
    Linear: _linear,
    Activation: _activation,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten,
    Normalize: _normalize,
}
