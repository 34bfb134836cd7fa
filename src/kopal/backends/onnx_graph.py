"""An ONNX graph while it is written: what every writer of nodes shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kopal.nets.layers import Conv

# Pinned, so that the same net and weights give the same bytes under every version of the onnx package.
OPSET = 17
IR_VERSION = 8


class Graph:
    """An ONNX graph while it is written: nodes and constants in the order of their making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A named constant of the graph; the same name twice is the same constant."""
        self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One node with one output, named by it."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def split(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """One node with several outputs."""
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=outputs[0], **attributes))
        return list(outputs)

    def model(
        self, name: str, image: tuple[int, int, int], outputs: Mapping[str, tuple[int, tuple[Any, ...]]]
    ) -> onnx.ModelProto:
        """The finished model: input `pixels` uint8 (N, H, W, C), outputs as name → (element type, shape)."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *image])],
            [helper.make_tensor_value_info(output, kind, shape) for output, (kind, shape) in outputs.items()],
            list(self.constants.values()),
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="kopal"
        )


def convolution(graph: Graph, layer: Conv, inputs: Sequence[str], path: str) -> str:
    """The node of a convolution, whatever its inputs are made of."""
    return graph.node(
        "Conv",
        inputs,
        path,
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding,
        group=layer.groups,
        dilations=layer.dilation,
    )
