"""A model file's fourth output, `unknown`, as ONNX nodes: how far a photo lies from those that were learned from."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from kopal.backends.onnx_graph import Graph
from kopal.novelty import TINY, Novelty

OUTPUT = "unknown"
PREFIX = f"{OUTPUT}."
"""What the names of its nodes and constants begin with."""


def with_unknown(model: onnx.ModelProto, novelty: Novelty, limit: float, features: str) -> onnx.ModelProto:
    """A graph with the face, and the name of its value with the features (N, D) → the same graph with `unknown` (N,).

    The number is the distance over `limit`. What was there stays as it was, node for node.
    """
    graph = Graph()
    _write(graph, novelty, limit, features)
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.node.extend(graph.nodes)
    extended.graph.initializer.extend(graph.constants.values())
    extended.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ("N",)))
    return extended


def _write(graph: Graph, novelty: Novelty, limit: float, features: str) -> None:
    def number(name: str, value: float) -> str:
        return graph.constant(PREFIX + name, np.array(value, np.float32))

    def node(op: str, inputs: list[str], name: str, **attributes: object) -> str:
        return graph.node(op, inputs, PREFIX + name, **attributes)

    x = node("Sub", [features, graph.constant(f"{PREFIX}mean", novelty.mean)], "centred")
    if len(novelty.directions):
        along = graph.constant(f"{PREFIX}along", novelty.directions.T)
        back = graph.constant(f"{PREFIX}back", novelty.shrinkage[:, None] * novelty.directions)
        taken = node("MatMul", [node("MatMul", [x, along], "spread"), back], "taken")
        x = node("Sub", [x, taken], "shrunk")
    length = node("ReduceL2", [x], "length", axes=[1], keepdims=1)
    x = node("Div", [x, node("Max", [length, number("tiny", TINY)], "some_length")], "unit")
    # As bytes the references are a quarter of the file that they would be; a runtime casts them once.
    towards = graph.constant(f"{PREFIX}references", novelty.references.T)
    products = node("MatMul", [x, node("Cast", [towards], "towards", to=TensorProto.FLOAT)], "products")
    cosine = node("Mul", [products, graph.constant(f"{PREFIX}scales", novelty.scales)], "cosine")
    count = graph.constant(f"{PREFIX}nearest", np.array([novelty.nearest], np.int64))
    best, _ = graph.split("TopK", [cosine, count], [f"{PREFIX}best", f"{PREFIX}places"], axis=1)
    near = node("ReduceMean", [best], "near", axes=[1], keepdims=0)
    distance = node("Sub", [number("one", 1), near], "distance")
    graph.node("Div", [distance, number("limit", limit)], OUTPUT)
