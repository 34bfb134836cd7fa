"""Batch norm after a convolution is a second affine map: fold it into the first, Net → Net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kopal.nets.layers import BatchNorm, Chain, Concat, Conv, Layer, Residual, SqueezeExcite
from kopal.nets.net import Net
from kopal.nets.run import join

Weights = Mapping[str, NDArray[np.float32]]


def fold_batch_norm(net: Net, weights: Weights) -> tuple[Net, dict[str, NDArray[np.float32]]]:
    """The same function without its batch norms: each Conv + BatchNorm pair becomes one Conv with a bias.

    A batch norm that follows anything else stays. Computed in float64, kept in float32.
    """
    folded = dict(weights)
    return replace(net, body=_fold_chain(net.body, "", folded)), folded


def _fold(layer: Layer, path: str, weights: dict[str, NDArray[np.float32]]) -> Layer:
    match layer:
        case Chain():
            return _fold_chain(layer, path, weights)
        case Residual(body, shortcut):
            return Residual(
                _fold_chain(body, join(path, "body"), weights),
                shortcut and _fold_chain(shortcut, join(path, "shortcut"), weights),
            )
        case Concat(branches):
            return Concat(tuple((name, _fold(child, join(path, name), weights)) for name, child in branches))
        case SqueezeExcite(gate):
            return SqueezeExcite(_fold_chain(gate, join(path, "gate"), weights))
        case _:
            return layer


def _fold_chain(whole: Chain, path: str, weights: dict[str, NDArray[np.float32]]) -> Chain:
    kept: list[tuple[str, Layer]] = []
    for name, layer in whole.layers:
        if isinstance(layer, BatchNorm) and kept and isinstance(kept[-1][1], Conv):
            conv_name, conv = kept[-1]
            assert isinstance(conv, Conv)
            _fold_pair(join(path, conv_name), join(path, name), layer, weights)
            kept[-1] = conv_name, replace(conv, bias=True)
        else:
            kept.append((name, _fold(layer, join(path, name), weights)))
    return Chain(tuple(kept))


def _fold_pair(conv: str, norm: str, layer: BatchNorm, weights: dict[str, NDArray[np.float32]]) -> None:
    gamma, beta, mean, variance = (
        weights.pop(f"{norm}.{name}").astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + layer.epsilon)
    bias = weights.get(f"{conv}.bias", np.float64(0))
    weights[f"{conv}.weight"] = (weights[f"{conv}.weight"] * scale[:, None, None, None]).astype(np.float32)
    weights[f"{conv}.bias"] = (beta + (bias - mean) * scale).astype(np.float32)
