"""A net as PyTorch runs it: `torch.nn.functional` under one module that holds the weights by name.

Pixels stay uint8 (N, H, W, C) until they are inside: turned to (N, C, H, W) without a copy they lie channels-last in
memory, which convolutions on a CPU like best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from kopal.backends.torch_module import run_module
from kopal.errors import PixelsError, UsageError, WeightsError
from kopal.nets.describe import describe, parameter_shapes
from kopal.nets.fold import fold_norms
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
    Padding,
    TorchModule,
)
from kopal.nets.net import Net
from kopal.nets.run import Table, run

Weights: TypeAlias = Mapping[str, Tensor]
Array = NDArray[np.float32]
STATISTICS = ("running_mean", "running_var")


class TorchNet(nn.Module):
    """A net with its weights: parameters that learn, and batch norm's running statistics as buffers.

    Raises `WeightsError` where one is missing. `channels_last` says how activations lie in memory. In training mode
    dropout drops, and every batch norm that has a learning weight uses its batch and moves its statistics; a frozen
    one does neither.
    """

    def __init__(self, net: Net, weights: Mapping[str, NDArray[Any]], channels_last: bool = True) -> None:
        super().__init__()
        self.net = net
        self.channels_last = channels_last
        fixed = {f"{row.path}.{name}" for row in describe(net) for name in row.fixed}
        self.names = tuple(parameter_shapes(net))
        for name in self.names:
            if name not in weights:
                raise WeightsError(f"the weights lack {name}", "every array that the net needs, by full name")
            array = torch.from_numpy(np.array(weights[name], np.float32))
            if channels_last and array.ndim == 4:
                array = array.contiguous(memory_format=torch.channels_last)
            if name in fixed:
                self.register_buffer(_key(name), array)
            else:
                self.register_parameter(_key(name), nn.Parameter(array))

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers under the net's own names, the tensors themselves."""
        return {name: getattr(self, _key(name)) for name in self.names}

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 (N, H, W, C) → scores float32 (N, K)."""
        return forward(self.net, self.tensors(), pixels, self.channels_last, self.training)


def forward(net: Net, weights: Weights, pixels: Tensor, channels_last: bool, training: bool = False) -> Tensor:
    """Pixels uint8 (N, H, W, C) → what the net computes of them, float32. Raises `PixelsError` for another size."""
    if tuple(pixels.shape[1:]) != net.image:
        height, width, channels = net.image
        raise PixelsError(
            f"net {net.name} got pixels of shape {tuple(pixels.shape)}", f"(N, {height}, {width}, {channels})"
        )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)

    def frozen(norm: str) -> bool:
        return not (training and weights[f"{norm}.weight"].requires_grad)

    # What a frozen norm would be handed is neither computed nor kept for the way back: a third of the memory.
    body, weights = fold_norms(net.body, weights, _one_kernel, frozen)
    return run(body, weights, x, table(training)).float()


def _one_kernel(kernel: Tensor, own: Tensor | None, norm: tuple[Tensor, ...], epsilon: float) -> tuple[Tensor, Tensor]:
    """A convolution and the frozen norm after it as one; what learns of them learns as before."""
    weight, bias, mean, var = norm
    scale = weight / torch.sqrt(var + epsilon)
    return kernel * scale.view(-1, 1, 1, 1), bias + ((0 if own is None else own) - mean) * scale


def _key(name: str) -> str:
    # PyTorch keeps the dot for submodules.
    return name.replace(".", "/")


def table(training: bool = False) -> Table[Tensor, Tensor]:
    """The leaves as PyTorch's functions, for `kopal.nets.run.run`."""

    def batch_norm(layer: BatchNorm, path: str, weights: Weights, x: Tensor) -> Tensor:
        weight, bias, mean, var = (weights[f"{path}.{name}"] for name in ("weight", "bias", *STATISTICS))
        moves = training and weight.requires_grad
        return F.batch_norm(x, mean, var, weight, bias, moves, layer.momentum, layer.epsilon)

    def dropout(layer: Dropout, path: str, weights: Weights, x: Tensor) -> Tensor:
        return F.dropout(x, layer.rate, training)

    def module(layer: TorchModule, path: str, weights: Weights, x: Tensor) -> Tensor:
        scores: Tensor = run_module(layer, path, weights, x, training)
        return scores

    return Table(
        {**_LEAVES, BatchNorm: batch_norm, Dropout: dropout, TorchModule: module},
        add=lambda path, first, second: first + second,
        multiply=lambda path, x, gate: x * gate,
        concat=lambda path, branches: torch.cat(branches, dim=1),
    )


def _padded(x: Tensor, padding: Padding) -> tuple[Tensor, tuple[int, int]]:
    """What PyTorch's windows can pad themselves, the same on opposite sides, is left to them."""
    top, left, bottom, right = padding
    if (top, left) == (bottom, right):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _conv(layer: Conv, path: str, weights: Weights, x: Tensor) -> Tensor:
    bias = weights[f"{path}.bias"] if layer.bias else None
    x, padding = _padded(x, layer.padding)
    return F.conv2d(x, weights[f"{path}.weight"], bias, layer.stride, padding, layer.dilation, layer.groups)


def _linear(layer: Linear, path: str, weights: Weights, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{path}.weight"], weights[f"{path}.bias"] if layer.bias else None)


def _normalize(layer: Normalize, path: str, weights: Weights, x: Tensor) -> Tensor:
    # (x / 255 - mean) / std as one multiplication and one addition
    mean, std = np.array(layer.mean, np.float64), np.array(layer.std, np.float64)
    scale, shift = (
        torch.from_numpy(part.astype(np.float32)).to(x.device, x.dtype).view(-1, 1, 1)
        for part in (1 / (255 * std), -mean / std)
    )
    return torch.addcmul(shift, x, scale)


def _activation(layer: Activation, path: str, weights: Weights, x: Tensor) -> Tensor:
    return _ACTIVATIONS[layer.name](x)


def _max_pool(layer: MaxPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    # PyTorch pads at most half a window, the same on opposite sides.
    top, left, bottom, right = layer.padding
    if (top, left) == (bottom, right) and 2 * top <= layer.kernel[0] and 2 * left <= layer.kernel[1]:
        return F.max_pool2d(x, layer.kernel, layer.stride, (top, left), ceil_mode=layer.ceil)
    padded = F.pad(x, (left, right, top, bottom), value=float("-inf"))
    z = F.max_pool2d(padded, layer.kernel, layer.stride, ceil_mode=layer.ceil)
    if not layer.ceil:
        return z
    # A hanging window must start before the padding at the end, which PyTorch now takes for image.
    rows, columns = (
        -(-(side + before) // step) for side, before, step in zip(x.shape[2:], (top, left), layer.stride, strict=True)
    )
    return z[..., :rows, :columns]


def _avg_pool(layer: AvgPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    top, left, bottom, right = layer.padding
    if any(layer.padding):
        x = F.pad(x, (left, right, top, bottom))
    return F.avg_pool2d(x, layer.kernel, layer.stride)


def _global_avg_pool(layer: GlobalAvgPool, path: str, weights: Weights, x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _local_response_norm(layer: LocalResponseNorm, path: str, weights: Weights, x: Tensor) -> Tensor:
    return F.local_response_norm(x, layer.size, layer.alpha, layer.beta, layer.k)


def _flatten(layer: Flatten, path: str, weights: Weights, x: Tensor) -> Tensor:
    return x.flatten(1)


def _custom(layer: Custom, path: str, weights: Weights, x: Tensor) -> Tensor:
    raise UsageError(
        f"{path}: {layer.function.__name__} is a function of kopal's own engine",
        "layers that PyTorch has",
        "train it with --engine numpy",
    )


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
}

_LEAVES: Mapping[type, Callable[[Any, str, Weights, Tensor], Tensor]] = {
    Custom: _custom,
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
