"""The heads that are no layers, as ONNX nodes: plain operators of the standard domain, which all take an empty batch.

Trees are asked every question at once (arXiv:2010.04804) rather than written as TreeEnsembleClassifier: its domain
brings attributes that a file could use to send a runtime in circles, or out of bounds, and no model file of kopal
holds a foreign domain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kopal.backends.onnx_graph import Graph
from kopal.nets.fold import Weights
from kopal.nets.heads import FLOOR, NEARLY, GaussianBayes, KernelMachine, Neighbours, Trees

TINY = 1e-12


def kernel_machine(graph: Graph, layer: KernelMachine, path: str, weights: Weights, x: str) -> str:
    """-gamma · ‖z - v‖² is 2 gamma · z·v - gamma · ‖z‖² - gamma · ‖v‖²: one product of matrices."""
    vectors = weights[f"{path}.vectors"]
    z = _standardised(graph, path, weights, x)
    products = graph.node(
        "MatMul", [z, _array(graph, path, "towards", 2 * layer.gamma * vectors.T)], f"{path}.products"
    )
    own = graph.node("ReduceSum", [graph.node("Mul", [z, z], f"{path}.squared"), _axis(graph)], f"{path}.length")
    own = graph.node("Mul", [own, _number(graph, f"{path}.gamma", layer.gamma)], f"{path}.own")
    theirs = _array(graph, path, "theirs", layer.gamma * np.square(vectors).sum(axis=1))
    exponent = graph.node("Sub", [graph.node("Sub", [products, own], f"{path}.nearer"), theirs], f"{path}.exponent")
    kernel = graph.node("Exp", [exponent], f"{path}.kernel")
    summed = graph.node("MatMul", [kernel, _given(graph, path, weights, "coefficients")], f"{path}.summed")
    return graph.node("Add", [summed, _given(graph, path, weights, "bias")], path)


def neighbours(graph: Graph, layer: Neighbours, path: str, weights: Weights, x: str) -> str:
    """Cosines with all references, the k-th largest as a threshold, and a product that counts the votes."""
    centred = graph.node("Sub", [x, _given(graph, path, weights, "mean")], f"{path}.centred")
    length = graph.node("ReduceL2", [centred], f"{path}.length", axes=[1], keepdims=1)
    length = graph.node("Max", [length, _number(graph, f"{path}.tiny", TINY)], f"{path}.some_length")
    unit = graph.node("Div", [centred, length], f"{path}.unit")
    towards = _array(graph, path, "towards", weights[f"{path}.references"].T)
    cosine = graph.node("MatMul", [unit, towards], f"{path}.cosine")
    nearest = graph.constant(f"{path}.nearest", np.array([layer.nearest], np.int64))
    best, _ = graph.split("TopK", [cosine, nearest], [f"{path}.best", f"{path}.places"], axis=1)
    ends = [graph.constant(f"{path}.{name}", np.array([layer.nearest - 1 + more], np.int64)) for name, more in _LAST]
    least = graph.node("Slice", [best, *ends, _axis(graph)], f"{path}.least")
    least = graph.node("Sub", [least, _number(graph, f"{path}.nearly", NEARLY)], f"{path}.threshold")
    near = graph.node("GreaterOrEqual", [cosine, least], f"{path}.near")
    near = graph.node("Cast", [near], f"{path}.counted", to=_FLOAT)
    away = graph.node("Sub", [cosine, _number(graph, f"{path}.one", 1)], f"{path}.away")
    away = graph.node("Div", [away, _number(graph, f"{path}.width", layer.width)], f"{path}.in_widths")
    weight = graph.node("Mul", [graph.node("Exp", [away], f"{path}.nearness"), near], f"{path}.weight")
    votes = graph.node("MatMul", [weight, _given(graph, path, weights, "votes")], f"{path}.counts")
    total = graph.node("ReduceSum", [votes, _axis(graph)], f"{path}.total")
    return _log(graph, path, graph.node("Div", [votes, total], f"{path}.shares"))


def gaussian_bayes(graph: Graph, layer: GaussianBayes, path: str, weights: Weights, x: str) -> str:
    """A quadratic function of each feature, summed: two products of matrices."""
    z = _standardised(graph, path, weights, x)
    squared = graph.node("Mul", [z, z], f"{path}.squared")
    curved = graph.node("Gemm", [squared, *(_given(graph, path, weights, name) for name in ("squares", "bias"))],
                        f"{path}.curved", transB=1)  # fmt: skip
    straight = graph.node("Gemm", [z, _given(graph, path, weights, "linear")], f"{path}.straight", transB=1)
    return graph.node("Add", [curved, straight], path)


def trees(graph: Graph, layer: Trees, path: str, weights: Weights, x: str) -> str:
    """All questions by one Gather; then each tree's answers, (T, N, Q), times its paths find the leaf, exactly."""
    features = graph.constant(f"{path}.features", weights[f"{path}.features"].astype(np.int64))
    asked = graph.node("Gather", [x, features], f"{path}.asked", axis=1)
    yes = graph.node("GreaterOrEqual", [_given(graph, path, weights, "thresholds"), asked], f"{path}.yes")
    shape = graph.constant(f"{path}.by_tree", np.array([0, layer.trees, layer.questions], np.int64))
    # Truth values are moved before they become floats, which are four times as large.
    yes = graph.node("Reshape", [yes, shape], f"{path}.answers")
    yes = graph.node("Transpose", [yes], f"{path}.turned", perm=[1, 0, 2])
    yes = graph.node("Cast", [yes], f"{path}.counted", to=_FLOAT)
    # Paths are mostly zeros: as bytes the file is a quarter as large.
    paths = graph.constant(f"{path}.paths", weights[f"{path}.paths"].astype(np.int8))
    paths = graph.node("Cast", [paths], f"{path}.ways", to=_FLOAT)
    taken = graph.node("MatMul", [yes, paths], f"{path}.taken")
    reached = graph.node("GreaterOrEqual", [taken, _given(graph, path, weights, "yeses")], f"{path}.reached")
    reached = graph.node("Cast", [reached], f"{path}.leaf", to=_FLOAT)
    shares = graph.node("MatMul", [reached, _given(graph, path, weights, "shares")], f"{path}.of_trees")
    return _log(graph, path, graph.node("ReduceMean", [shares], f"{path}.mean", axes=[0], keepdims=0))


HEADS: Mapping[type, Callable[[Graph, Any, str, Weights, str], str]] = {
    KernelMachine: kernel_machine,
    Neighbours: neighbours,
    GaussianBayes: gaussian_bayes,
    Trees: trees,
}
"""Each leaf's writer: (graph, leaf, path, weights, name of the features) → name of the scores."""

_FLOAT = 1  # TensorProto.FLOAT
_LAST = (("from", 0), ("to", 1))


def _standardised(graph: Graph, path: str, weights: Weights, x: str) -> str:
    centred = graph.node("Sub", [x, _given(graph, path, weights, "mean")], f"{path}.centred")
    return graph.node("Mul", [centred, _given(graph, path, weights, "scale")], f"{path}.standardised")


def _log(graph: Graph, path: str, probabilities: str) -> str:
    floored = graph.node("Max", [probabilities, _number(graph, f"{path}.floor", FLOOR)], f"{path}.floored")
    return graph.node("Log", [floored], path)


def _given(graph: Graph, path: str, weights: Weights, name: str) -> str:
    return graph.constant(f"{path}.{name}", weights[f"{path}.{name}"])


def _array(graph: Graph, path: str, name: str, value: Any) -> str:
    return graph.constant(f"{path}.{name}", np.asarray(value, np.float32))


def _number(graph: Graph, name: str, value: float) -> str:
    return graph.constant(name, np.array(value, np.float32))


def _axis(graph: Graph) -> str:
    return graph.constant("columns", np.array([1], np.int64))
