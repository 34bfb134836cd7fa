"""What a graph may ask of ONNX Runtime: constants that are what they say, every value made once, sizes within bounds.

A small file could ask for much: two constants of 400 KB added crosswise are 40 GB. So before the runtime sees a graph,
the shape of every value is inferred for as many images as are run at once, and what is alive at a time is added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, TypeAlias

import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

from kopal.errors import ModelFileError

PIXELS_PER_RUN = 1 << 16
"""The net runs on as many images at once as make one of 256 x 256: more activations leave the processor's cache and
cost a fifth or more (benchmarks/batch_size.py); tiny images one by one would cost calls."""

MOST_IMAGES = 1024

MAX_NODES = 20_000
MAX_RANK = 8
MAX_ALIVE = 1 << 28
"""Numbers that may be alive at a time: 1 GB in float32. The largest nets that are in use need a tenth."""
MAX_WORK = 1 << 40
"""Multiplications of one run: minutes of one core. The largest nets in use need a fifth."""

_SIZES: Mapping[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.INT64: 8,
    TensorProto.INT32: 4,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
    TensorProto.BOOL: 1,
}
"""The types of constants that we know, and how many bytes one number of each takes."""

_ABSURD = 1 << 31
_END = 1 << 63
_SMALL = 1024
"""A constant of at most so many numbers may say how something is shaped, and is shown to the inference of shapes."""


_Shape: TypeAlias = tuple[int, tuple[int, ...]]
"""An element type and the sides."""


def images_at_once(height: int, width: int) -> int:
    """How many images of a size the net is given at once."""
    return min(MOST_IMAGES, max(1, PIXELS_PER_RUN // (height * width)))


def check_demands(graph: onnx.GraphProto, opset: int) -> None:
    """Raises `ModelFileError` unless a graph of one input (N, H, W, C) asks for no more than a classifier does."""
    if len(graph.node) > MAX_NODES:
        raise _refused(f"the graph has {len(graph.node)} nodes", f"at most {MAX_NODES}")
    if graph.value_info or graph.quantization_annotation:
        # ONNX Runtime 1.32 believes what is told here, and may crash where it is not so.
        raise _refused("the graph tells the types of values between its nodes", "only what its input and outputs are")
    for tensor in graph.initializer:
        check_constant(tensor)
    _check_sizes(graph, opset)


def check_constant(tensor: onnx.TensorProto) -> None:
    """Raises `ModelFileError` unless a constant holds as many numbers as its shape says, of a type we know."""
    size = _SIZES.get(tensor.data_type)
    if size is None:
        raise _refused(f"constant {tensor.name!r} has type {tensor.data_type}", "numbers")
    if len(tensor.dims) > MAX_RANK or any(side < 0 for side in tensor.dims):
        raise _refused(f"constant {tensor.name!r} has shape {[*tensor.dims][:10]}", "a shape")
    held = len(tensor.raw_data) / size
    if not tensor.HasField("raw_data"):
        held = max(map(len, (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)))
    if held != prod(tensor.dims) or tensor.HasField("segment"):
        raise _refused(f"constant {tensor.name!r} does not hold what its shape {[*tensor.dims]} says", "all its data")
    if tensor.data_type == TensorProto.INT64 and held <= _SMALL:
        values = numpy_helper.to_array(tensor).ravel().tolist()
        # These say how something is shaped; "to the end" is written as the largest number there is.
        if any(_ABSURD < abs(number) < _END - 1 for number in values):
            raise _refused(f"constant {tensor.name!r} holds sizes out of bounds", "sensible numbers")


def _check_sizes(graph: onnx.GraphProto, opset: int) -> None:
    """What is alive at a time, and the work of all nodes, keep to the limits; outputs have the shapes they declare.

    Node by node, each from inputs that were found to be in bounds: inference itself stumbles over sizes that are not.
    """
    shapes = _given_shapes(graph)
    types = {name: helper.make_tensor_type_proto(kind, shape) for name, (kind, shape) in shapes.items()}
    small = {tensor.name: tensor for tensor in graph.initializer if prod(tensor.dims) <= _SMALL}
    constants = {tensor.name for tensor in graph.initializer}
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    last |= {value.name: len(graph.node) for value in graph.output}
    leaving: dict[int, int] = {}
    alive = work = early = 0
    for place, node in enumerate(graph.node):
        made = _outputs(node, types, small, opset)
        for name, (kind, shape) in made.items():
            if name in shapes:
                raise _refused(f"{name!r} is made twice", "one node for each value")
            shapes[name] = kind, shape
            types[name] = helper.make_tensor_type_proto(kind, shape)
            size = prod(shape)
            cost = size * _work_of_one(node, shapes)
            alive += size
            work += cost
            leaves = last.get(name, place)
            leaving[leaves] = leaving.get(leaves, 0) + size
            if constants.issuperset(filter(None, node.input)):
                # ONNX Runtime computes what depends on constants alone while it loads.
                constants.add(name)
                early += cost
        if alive > MAX_ALIVE or early > MAX_ALIVE:
            raise _refused(f"the graph asks for {max(alive, early):,} numbers at a time", f"at most {MAX_ALIVE:,}")
        if work > MAX_WORK:
            raise _refused(f"the graph asks for {work:,} multiplications at a time", f"at most {MAX_WORK:,}")
        alive -= leaving.pop(place, 0)
    (images, *_) = shapes[graph.input[0].name][1]
    for value in graph.output:
        declared = value.type.tensor_type
        wanted = declared.elem_type, tuple(side.dim_value or images for side in declared.shape.dim)
        if shapes.get(value.name) != wanted:
            raise _refused(f"output {value.name!r} has type and shape {shapes.get(value.name)}", f"{wanted}")


def _given_shapes(graph: onnx.GraphProto) -> dict[str, _Shape]:
    """Those of the constants, and of as many pixels as are run at once."""
    (pixels,) = graph.input
    kind, (_, height, width, channels) = (
        pixels.type.tensor_type.elem_type,
        (side.dim_value for side in pixels.type.tensor_type.shape.dim),
    )
    shapes: dict[str, _Shape] = {pixels.name: (kind, (images_at_once(height, width), height, width, channels))}
    for tensor in graph.initializer:
        if tensor.name in shapes or not tensor.name:
            raise _refused(f"two constants or inputs are named {tensor.name!r}", "a name for each")
        shapes[tensor.name] = tensor.data_type, tuple(tensor.dims)
    return shapes


def _outputs(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto], small: Mapping[str, onnx.TensorProto], opset: int
) -> dict[str, _Shape]:
    """The shape of each output of a node, by ONNX's own inference."""
    inputs, outputs = [*filter(None, node.input)], [*filter(None, node.output)]
    if missing := [name for name in inputs if name not in types]:
        raise _refused(f"node {node.name!r} takes {missing[0]!r}, which is not made before it", "nodes in order")
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
        _check_signature(node, schema)
        given = {name: types[name] for name in inputs}
        data = {name: small[name] for name in inputs if name in small}
        imports = [helper.make_opsetid("", opset)]
        found = onnx.shape_inference.infer_node_outputs(schema, node, given, data, opset_imports=imports)
    except ModelFileError:
        raise
    except Exception as error:  # its errors share no public base
        reason = (str(error).splitlines() or [type(error).__name__])[-1][:200]
        raise _refused(f"the shapes at node {node.name!r} do not fit: {reason}", "a graph that fits") from error
    made: dict[str, _Shape] = {}
    for name in outputs:
        tensor = found[name].tensor_type if name in found else onnx.TypeProto.Tensor()
        sides = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in tensor.shape.dim)
        if not tensor.HasField("shape") or min(sides, default=0) < 0 or len(sides) > MAX_RANK or name in made:
            raise _refused(f"the size of {name!r} cannot be told before it is made", "fixed sizes")
        made[name] = tensor.elem_type, sides
    return made


def _check_signature(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> None:
    """As many inputs and outputs as the operator has, its attributes and no others, and no absurd numbers in them."""
    if not (
        schema.min_input <= len(node.input) <= schema.max_input
        and schema.min_output <= len(node.output) <= schema.max_output
    ):
        raise _refused(
            f"node {node.name!r} has {len(node.input)} inputs and {len(node.output)} outputs", "its own number"
        )
    names = [attribute.name for attribute in node.attribute]
    required = {name for name, own in schema.attributes.items() if own.required}
    if len({*names}) < len(names) or not schema.attributes.keys() >= {*names} >= required:
        raise _refused(f"node {node.name!r}, {node.op_type}, has attributes {names[:10]}", "those of its operator")
    for attribute in node.attribute:
        wanted: Any = schema.attributes[attribute.name].type
        if attribute.type != int(wanted) or attribute.ref_attr_name:
            raise _refused(
                f"attribute {attribute.name!r} of node {node.name!r} has another type", "its operator's type"
            )
        if any(abs(number) > _ABSURD for number in (attribute.i, *attribute.ints)) or len(attribute.ints) > _SMALL:
            raise _refused(f"attribute {attribute.name!r} of node {node.name!r} is out of bounds", "a sensible number")


def _work_of_one(node: onnx.NodeProto, shapes: Mapping[str, _Shape]) -> int:
    """Multiplications for one number of a node's output, about."""
    sides = [shapes[name][1] if name else () for name in node.input]
    match node.op_type:
        case "Gemm" | "MatMul" | "QLinearMatMul" | "MatMulInteger":
            return max(sides[0], default=1)
        case "Conv" | "ConvInteger":
            return prod(sides[1][1:])
        case "QLinearConv":
            return prod(sides[3][1:])
        case "MaxPool" | "AveragePool":
            return prod(abs(side) for side in _whole_numbers(node, "kernel_shape"))
        case "LRN":
            return max((1, *_whole_numbers(node, "size")))
    return 1


def _whole_numbers(node: onnx.NodeProto, name: str) -> list[int]:
    return [number for own in node.attribute if own.name == name for number in ([*own.ints] or [own.i])]


def _refused(happened: str, expected: str) -> ModelFileError:
    return ModelFileError(happened, expected, "use a model.onnx that kopal train wrote, unchanged")
