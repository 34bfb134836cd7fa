"""A net as ONNX nodes: no tracing, no torch. The values that walk through the net are names in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from kopal.backends.aten.walk import write_module
from kopal.backends.onnx_graph import Graph, convolution
from kopal.backends.onnx_heads import HEADS
from kopal.backends.onnx_int8 import INT8
from kopal.errors import UsageError
from kopal.nets.describe import output_shape
from kopal.nets.fold import Weights, fold_batch_norm
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


def feature_model(net: Net, weights: Weights) -> onnx.ModelProto:
    """Pixels uint8 (N, H, W, C) → features float32 (N, D): a net that ends in a vector, batch norm folded."""
    graph = Graph()
    last = _emit(graph, net, weights)
    graph.node("Identity", [last], "features")
    return graph.model(net.name, net.image, {"features": (TensorProto.FLOAT, ("N", "D"))})


def activation_model(net: Net, weights: Weights) -> onnx.ModelProto:
    """Pixels uint8 (N, H, W, C) → activations float32 (N, C, H, W) or (N, D), wherever the net ends."""
    graph = Graph()
    graph.node("Identity", [_emit(graph, net, weights)], "activations")
    shape = ("N", "C", "H", "W") if len(output_shape(net)) > 1 else ("N", "D")
    return graph.model(net.name, net.image, {"activations": (TensorProto.FLOAT, shape)})


def classifier_model(net: Net, weights: Weights, temperature: float, classes: int) -> onnx.ModelProto:
    """The contract's face: pixels → scores, probabilities = softmax(scores / temperature), label = argmax."""
    graph = Graph()
    graph.node("Identity", [_emit(graph, net, weights)], "scores")
    return with_face(graph, net.name, net.image, temperature, classes)


def with_face(
    graph: Graph, name: str, image: tuple[int, int, int], temperature: float, classes: int
) -> onnx.ModelProto:
    """A graph that ends in `scores` (N, K) → the model with the other two outputs of the contract's face."""
    graph.constant("temperature", np.array(temperature, np.float32))
    graph.node("Div", ["scores", "temperature"], "tempered")
    graph.node("Softmax", ["tempered"], "probabilities", axis=-1)
    graph.node("ArgMax", ["scores"], "label", axis=-1, keepdims=0, select_last_index=0)
    outputs: dict[str, tuple[int, tuple[Any, ...]]] = {
        "scores": (TensorProto.FLOAT, ("N", classes)),
        "probabilities": (TensorProto.FLOAT, ("N", classes)),
        "label": (TensorProto.INT64, ("N",)),
    }
    return graph.model(name, image, outputs)


def _emit(graph: Graph, net: Net, weights: Weights) -> str:
    net, weights = fold_batch_norm(net, weights)
    # Moving bytes is four times cheaper than moving floats: transpose first, cast after.
    graph.node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2])
    graph.node("Cast", ["planes"], "image", to=TensorProto.FLOAT)
    return run(net.body, weights, "image", _table(graph))


def _table(graph: Graph) -> Table[str, NDArray[np.float32]]:
    def leaf(emit: _Emit) -> Callable[[Any, str, Weights, str], str]:
        return lambda layer, path, weights, x: emit(graph, layer, path, weights, x)

    return Table(
        {kind: leaf(emit) for kind, emit in _LEAVES.items()},
        add=lambda path, first, second: graph.node("Add", [first, second], f"{path}.sum"),
        multiply=lambda path, x, gate: graph.node("Mul", [x, gate], f"{path}.product"),
        concat=lambda path, branches: graph.node("Concat", branches, f"{path}.concat", axis=1),
    )


def _parameters(graph: Graph, path: str, weights: Weights, names: Sequence[str]) -> list[str]:
    return [graph.constant(f"{path}.{name}", weights[f"{path}.{name}"]) for name in names]


def _conv(graph: Graph, layer: Conv, path: str, weights: Weights, x: str) -> str:
    parameters = _parameters(graph, path, weights, ["weight", "bias"] if layer.bias else ["weight"])
    return convolution(graph, layer, [x, *parameters], path)


def _linear(graph: Graph, layer: Linear, path: str, weights: Weights, x: str) -> str:
    parameters = _parameters(graph, path, weights, ["weight", "bias"] if layer.bias else ["weight"])
    return graph.node("Gemm", [x, *parameters], path, transB=1)


def _batch_norm(graph: Graph, layer: BatchNorm, path: str, weights: Weights, x: str) -> str:
    parameters = _parameters(graph, path, weights, ["weight", "bias", "running_mean", "running_var"])
    return graph.node("BatchNormalization", [x, *parameters], path, epsilon=layer.epsilon)


def _normalize(graph: Graph, layer: Normalize, path: str, weights: Weights, x: str) -> str:
    # (x / 255 - mean) / std as one multiplication and one addition
    mean, std = np.array(layer.mean, np.float64), np.array(layer.std, np.float64)
    shape = (-1, 1, 1) if max(len(mean), len(std)) > 1 else ()
    scale = graph.constant(f"{path}.scale", (1 / (255 * std)).astype(np.float32).reshape(shape))
    shift = graph.constant(f"{path}.shift", (-mean / std).astype(np.float32).reshape(shape))
    return graph.node("Add", [graph.node("Mul", [x, scale], f"{path}.scaled"), shift], path)


def _activation(graph: Graph, layer: Activation, path: str, weights: Weights, x: str) -> str:
    match layer.name:
        case "relu6":
            low = graph.constant("zero", np.zeros((), np.float32))
            return graph.node("Clip", [x, low, graph.constant("six", np.full((), 6, np.float32))], path)
        case "silu":
            return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{path}.gate")], path)
        case name:
            return graph.node({"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}[name], [x], path)


def _max_pool(graph: Graph, layer: MaxPool, path: str, weights: Weights, x: str) -> str:
    window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.padding}
    return graph.node("MaxPool", [x], path, ceil_mode=int(layer.ceil), **window)


def _avg_pool(graph: Graph, layer: AvgPool, path: str, weights: Weights, x: str) -> str:
    window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.padding}
    return graph.node("AveragePool", [x], path, count_include_pad=1, **window)


def _global_avg_pool(graph: Graph, layer: GlobalAvgPool, path: str, weights: Weights, x: str) -> str:
    return graph.node("GlobalAveragePool", [x], path)


def _local_response_norm(graph: Graph, layer: LocalResponseNorm, path: str, weights: Weights, x: str) -> str:
    return graph.node("LRN", [x], path, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)


def _flatten(graph: Graph, layer: Flatten, path: str, weights: Weights, x: str) -> str:
    return graph.node("Flatten", [x], path, axis=1)


def _dropout(graph: Graph, layer: Dropout, path: str, weights: Weights, x: str) -> str:
    return x


def _custom(graph: Graph, layer: Custom, path: str, weights: Weights, x: str) -> str:
    if not layer.onnx:
        raise UsageError(
            f"{path}: {layer.function.__name__} has no ONNX form",
            "the name of an ONNX operator, or a function that writes its nodes",
            f'Custom({layer.function.__name__}, onnx="...")',
        )
    inputs = [x, *_parameters(graph, path, weights, [name for name, _ in layer.parameters])]
    return graph.node(layer.onnx, inputs, path) if isinstance(layer.onnx, str) else layer.onnx(graph, path, inputs)


def _torch_module(graph: Graph, layer: TorchModule, path: str, weights: Weights, x: str) -> str:
    return write_module(graph, layer, path, weights, x)


_Emit = Callable[[Graph, Any, str, Weights, str], str]
_LEAVES: Mapping[type, _Emit] = {
    **HEADS,
    **INT8,
    Custom: _custom,
    TorchModule: _torch_module,
    Conv: _conv,
    BatchNorm: _batch_norm,
    LocalResponseNorm: _local_response_norm,
    Linear: _linear,
    Activation: _activation,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten,
    Dropout: _dropout,
    Normalize: _normalize,
}
