"""Where the head of a graph begins: the numbers that its last linear layer looks at are the features of the net."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from kopal.backends.onnx_merge import needed
from kopal.errors import UsageError

LINEAR = ("Gemm", "MatMul")


def before_head(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with the face → one from `pixels` to `features`, the input of its last linear layer.

    What `feature_model` wrote under a head comes back byte for byte, so that features kept for the one serve the other.
    Raises `UsageError` where no linear layer sees all that the scores are made of, as in an ensemble of several nets.
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
            if node.input[0] != "pixels" and "scores" not in _behind(nodes, "pixels", without=node.input[0]):
                return node
            break
    return None


def head_input(graph: onnx.GraphProto) -> str:
    """The value that the last linear layer of a graph takes. Raises `UsageError` as `before_head` does."""
    if node := head_node(graph):
        return str(node.input[0])
    raise UsageError(
        "the graph shows no features: no last linear layer sees all that its scores are made of",
        "a model with one linear head: a Gemm or MatMul node before the scores",
        "name one member of an ensemble, or take the features of a pretrained net: --net efficientnet-lite0",
    )


def _behind(nodes: list[onnx.NodeProto], start: str, without: str = "") -> set[str]:
    """The values that depend on `start`; with `without`, those that do so on a way past that value."""
    found = {start}
    for node in nodes:
        if found & {*node.input}:
            found |= {*node.output} - {without, ""}
    return found
