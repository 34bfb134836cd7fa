"""Two views of each image as ONNX nodes: both go through the net as one batch, and what it says of them is averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kopal.backends.onnx_graph import Graph
from kopal.nets.fold import Weights
from kopal.nets.layers import MeanOfTwo, WithMirror


def with_mirror(graph: Graph, layer: WithMirror, path: str, weights: Weights, x: str) -> str:
    """The last axis backwards, below the images themselves."""
    bounds = {"from": -1, "to": np.iinfo(np.int64).min, "axis": 3, "step": -1}
    given = [graph.constant(f"{path}.{name}", np.array([value], np.int64)) for name, value in bounds.items()]
    mirrored = graph.node("Slice", [x, *given], f"{path}.mirrored")
    return graph.node("Concat", [x, mirrored], path, axis=0)


def mean_of_two(graph: Graph, layer: MeanOfTwo, path: str, weights: Weights, x: str) -> str:
    """The halves of the batch, row by row."""
    halves = graph.split("Split", [x], [f"{path}.first", f"{path}.second"], axis=0)
    return graph.node("Mean", halves, path)


VIEWS: Mapping[type, Callable[[Graph, Any, str, Weights, str], str]] = {
    WithMirror: with_mirror,
    MeanOfTwo: mean_of_two,
}
"""Each leaf's writer, as in `onnx_heads.py`."""
