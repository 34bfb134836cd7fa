"""Where a net's last linear layer looks: the planes that global average pooling takes the mean of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kopal.backends.onnx_head import head_node
from kopal.backends.onnx_merge import needed

SAME_NUMBERS = ("Flatten", "Reshape", "Squeeze", "Identity")
"""What may stand between pooling and head: the numbers stay, in their order."""


@dataclass(frozen=True)
class Planes:
    """A graph from `pixels` to planes (N, D, h, w), and what the head makes of their means.

    scores (N, K) = planes' means (N, D) times weight (D, K), plus the same numbers for every photo.
    """

    model: onnx.ModelProto
    weight: NDArray[np.float32]


def planes(model: onnx.ModelProto) -> Planes | None:
    """A graph with the face → its planes, or None where its scores are no linear function of the means of planes."""
    graph = model.graph
    head = head_node(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    if head is None or head.input[1] not in constants:
        return None
    weight = numpy_helper.to_array(constants[head.input[1]])
    flags = {attribute.name: attribute.i for attribute in head.attribute}
    weight = weight.T if flags.get("transB") else weight
    maker = {output: node for node in graph.node for output in node.output}
    source = maker.get(head.input[0])
    while source is not None and source.op_type in SAME_NUMBERS:
        source = maker.get(source.input[0])
    if source is None or source.op_type != "GlobalAveragePool" or weight.ndim != 2:
        return None
    return Planes(_until(model, source.input[0]), weight.astype(np.float32))


def _until(model: onnx.ModelProto, value: str) -> onnx.ModelProto:
    kept = needed(model.graph, value)
    used = {value, *(name for node in kept for name in node.input)}
    body = onnx.ModelProto()
    body.CopyFrom(model)
    del body.metadata_props[:], body.graph.node[:], body.graph.initializer[:], body.graph.output[:]
    body.graph.node.extend(kept)
    body.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    body.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, ("N", "D", "h", "w")))
    return body
