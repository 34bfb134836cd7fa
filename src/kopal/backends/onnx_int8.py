"""Whole numbers as ONNX nodes, all of the standard domain: QuantizeLinear and DequantizeLinear around plain operators.

    q → DequantizeLinear → Conv (its weights from int8, its bias from int32) → QuantizeLinear → q

ONNX Runtime fuses such a group into one operator that computes on bytes; a runtime that does not gives the same
numbers to rounding, more slowly.

Without VNNI instructions the runtime adds the products of two neighbouring input channels in 16 bits, where a larger
sum would be cut off and nobody told (vpmaddubsw, in its ConvSymKernelAvx2 and QgemmU8S8KernelAvx2). So the weights of
two neighbours never come to more than 128 steps together: 255 · 128 fits. The usual remedy, 64 steps for each weight,
leaves a bit unused. A depthwise filter sees one channel, and its products are added in 32 bits: it has all 127 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.backends.onnx_graph import Graph, convolution
from kopal.nets.fold import Weights
from kopal.nets.layers import Quantize, QuantizedConv

LARGEST_WEIGHT = 127
LARGEST_PAIR = 128
LARGEST_BIAS = 1 << 30


def quantize(graph: Graph, layer: Quantize, path: str, weights: Weights, x: str) -> str:
    """To bytes and back."""
    scale = graph.constant(f"{path}.scale", np.array(layer.scale, np.float32))
    zero = graph.constant(f"{path}.zero", np.array(layer.zero, np.uint8))
    steps = graph.node("QuantizeLinear", [x, scale, zero], f"{path}.steps")
    return graph.node("DequantizeLinear", [steps, scale, zero], path)


def quantized_conv(graph: Graph, layer: QuantizedConv, path: str, weights: Weights, x: str) -> str:
    """A convolution whose weights lie in the file as bytes."""
    weight, bias = weights[f"{path}.weight"], weights[f"{path}.bias"]
    scale = weight_scales(weight, bias, layer.input_scale)
    whole = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
    # The sum of products comes in steps of both scales; a bias in the same steps is added to it as it is.
    own = (layer.input_scale * scale.astype(np.float64)).astype(np.float32)
    given = [
        _dequantized(graph, f"{path}.weight", whole, scale),
        _dequantized(graph, f"{path}.bias", np.rint(bias / own.astype(np.float64)).astype(np.int32), own),
    ]
    return convolution(graph, layer.conv, [x, *given], path)


def weight_scales(weight: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float) -> NDArray[np.float32]:
    """(out, in, kernel, kernel) → (out,): the step of each output channel, as short as its weights allow.

    A channel of vanishing weights beside its bias takes longer steps, in which that bias fits into 32 bits.
    """
    exact = weight.astype(np.float64)
    largest = np.abs(exact).max(axis=(1, 2, 3)) / LARGEST_WEIGHT
    # Rounding may add half a step to each of the two.
    paired = _largest_pair(exact) / (LARGEST_PAIR - 1)
    roomy = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    scale = np.maximum(np.maximum(largest, paired), roomy)
    return np.where(scale > 0, scale, 1.0).astype(np.float32)


def _largest_pair(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """(out,): the most that two weights come to whose products are added first; 0 where there are no two channels."""
    if weight.shape[1] == 1:
        return np.zeros(len(weight))
    signed = (np.maximum(weight, 0), np.maximum(-weight, 0))
    # Which weights of a larger kernel are neighbours is for the runtime to choose: any two may be.
    largest = _largest_neighbours if weight.shape[2:] == (1, 1) else _largest_two
    return np.maximum(*(largest(side.reshape(len(side), -1)) for side in signed))


def _largest_neighbours(row: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((row[:, :-1] + row[:, 1:]).max(axis=1))


def _largest_two(row: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sort(row)[:, -2:].sum(axis=1))


def _dequantized(graph: Graph, name: str, whole: NDArray[Any], scale: NDArray[np.float32]) -> str:
    steps = graph.constant(f"{name}.steps", whole)
    return graph.node("DequantizeLinear", [steps, graph.constant(f"{name}.scale", scale)], name, axis=0)


INT8: Mapping[type, Callable[[Graph, Any, str, Weights, str], str]] = {
    Quantize: quantize,
    QuantizedConv: quantized_conv,
}
"""Each leaf's writer, as in `onnx_heads.py`."""
