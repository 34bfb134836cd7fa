"""Where the head of a graph begins: the numbers that it looks at are the features of the net."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from kopal.backends.onnx_merge import needed
from kopal.errors import UsageError

LINEAR = ("Gemm", "MatMul")
HEAD = "head"
"""The stage that every net of kopal ends in; the nodes of a graph are named by their paths in the net."""


def before_head(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with the face → one from `pixels` to `features`, the input of its head.

    What `feature_model` wrote under a head comes back byte for byte, so that features kept for the one serve the other.
    Raises `UsageError` where no head sees all that the scores are made of, as in an ensemble of several nets.
    """
    features = head_input(model.graph)
    kept = needed(model.graph, features)
    used = {features, *(name for node in kept for name in node.input)}
    name = "features"
    while name in used:
        name += "_"
    body = onnx.ModelProto()
    body.CopyFrom(model)
    del body.metadata_props[:], body.graph.node[:], body.graph.initializer[:], body.graph.output[:]
    body.graph.node.extend([*kept, helper.make_node("Identity", [features], [name], name=name)])
    body.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    body.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", "D")))
    return body


def head_node(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    """The last linear layer, if all that the scores are made of goes through it."""
    nodes = needed(graph, "scores")
    varying = _behind(nodes, "pixels")
    for node in reversed(nodes):
        # A layer multiplies what depends on the photo with what does not.
        if node.op_type in LINEAR and node.input[0] in varying and node.input[1] not in varying:
            return node if _is_all(nodes, node.input[0]) else None
    return None


def head_input(graph: onnx.GraphProto) -> str:
    """The value that a graph's head takes: the stage of that name, or else the last linear layer.

    Raises `UsageError` as `before_head` does.
    """
    nodes = needed(graph, "scores")
    varying = _behind(nodes, "pixels")
    taken = (node.input[0] for node in nodes if node.name.split(".")[0] == HEAD and node.input[0] in varying)
    if (first := next(taken, "")) and _is_all(nodes, first):
        return str(first)
    if node := head_node(graph):
        return str(node.input[0])
    raise UsageError(
        "the graph shows no features: no last linear layer sees all that its scores are made of",
        "a model with one linear head: a Gemm or MatMul node before the scores",
        "name one member of an ensemble, or take the features of a pretrained net: --net efficientnet-lite0",
    )


def _is_all(nodes: list[onnx.NodeProto], value: str) -> bool:
    """Whether the scores depend on the photo through this value alone, and it is not the photo itself."""
    return value != "pixels" and "scores" not in _behind(nodes, "pixels", without=value)


def _behind(nodes: list[onnx.NodeProto], start: str, without: str = "") -> set[str]:
    """The values that depend on `start`; with `without`, those that do so on a way past that value."""
    found = {start}
    for node in nodes:
        if found & {*node.input}:
            found |= {*node.output} - {without, ""}
    return found
