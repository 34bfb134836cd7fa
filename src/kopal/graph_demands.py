"""What a graph may ask of ONNX Runtime: constants that are what they say, every value made once, sizes within bounds.

A small file could ask for much: two constants of 400 KB added crosswise are 40 GB. So before the runtime sees a graph,
the shape of every value is inferred for as many images as are run at once, and what is alive at a time is added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx
from onnx import TensorProto

from kopal.errors import ModelFileError

PIXELS_PER_RUN = 1 << 16
"""The net runs on as many images at once as make one of 256 x 256: more activations leave the processor's cache and
cost a fifth or more (benchmarks/batch_size.py); tiny images one by one would cost calls."""

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

_SMALL = 1024
"""A constant of at most so many numbers may say how something is shaped, and is shown to the inference of shapes."""


def images_at_once(height: int, width: int) -> int:
    """How many images of a size the net is given at once."""
    return max(1, PIXELS_PER_RUN // (height * width))


def check_demands(graph: onnx.GraphProto, opset: int) -> None:
    """Raises `ModelFileError` unless a graph of one input (N, H, W, C) asks for no more than a classifier does."""
    if len(graph.node) > MAX_NODES:
        raise _refused(f"the graph has {len(graph.node)} nodes", f"at most {MAX_NODES}")
    for tensor in graph.initializer:
        check_constant(tensor)
    _check_order(graph)
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


def _check_order(graph: onnx.GraphProto) -> None:
    """Every name is made once, and before it is used: so there is no circle."""
    names = [tensor.name for tensor in graph.initializer] + [value.name for value in graph.input]
    made = {*names}
    if len(made) < len(names) or "" in made:
        raise _refused("the graph names two constants or inputs alike, or one not at all", "a name for each")
    for node in graph.node:
        if missing := {*node.input} - made - {""}:
            raise _refused(f"node {node.name!r} takes {min(missing)!r}, which is not made before it", "nodes in order")
        for name in filter(None, node.output):
            if name in made:
                raise _refused(f"{name!r} is made twice", "one node for each value")
            made.add(name)


def _check_sizes(graph: onnx.GraphProto, opset: int) -> None:
    """What is alive at a time, and the work of all nodes, keep to the limits; outputs have the shapes they declare."""
    shapes = {tensor.name: (*tensor.dims,) for tensor in graph.initializer} | _shapes(graph, opset)
    constants = {tensor.name for tensor in graph.initializer}
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    last |= {value.name: len(graph.node) for value in graph.output}
    leaving: dict[int, int] = {}
    alive = work = early = 0
    for place, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name not in shapes:
                raise _refused(f"the size of value {name!r} cannot be told before it is made", "fixed sizes")
            size = prod(shapes[name])
            alive += size
            leaves = last.get(name, place)
            leaving[leaves] = leaving.get(leaves, 0) + size
            work += size * _work_of_one(node, shapes)
            if constants.issuperset(filter(None, node.input)):
                # ONNX Runtime computes what depends on constants alone while it loads.
                constants.add(name)
                early += size * _work_of_one(node, shapes)
        if alive > MAX_ALIVE or early > MAX_ALIVE:
            raise _refused(f"the graph asks for {max(alive, early):,} numbers at a time", f"at most {MAX_ALIVE:,}")
        if work > MAX_WORK:
            raise _refused(f"the graph asks for {work:,} multiplications at a time", f"at most {MAX_WORK:,}")
        alive -= leaving.pop(place, 0)
    images = shapes[graph.input[0].name][0]
    for value in graph.output:
        declared = tuple(side.dim_value or images for side in value.type.tensor_type.shape.dim)
        if shapes.get(value.name) != declared:
            raise _refused(f"output {value.name!r} has shape {shapes.get(value.name)}", f"{declared}")


def _work_of_one(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiplications for one number of a node's output, about."""
    first, second = ([shapes.get(name, ()) for name in node.input] + [(), ()])[:2]
    match node.op_type:
        case "Gemm" | "MatMul":
            return max(first, default=1)
        case "Conv":
            return prod(second[1:])
        case "MaxPool" | "AveragePool":
            return prod(abs(side) for side in _whole_numbers(node, "kernel_shape"))
        case "LRN":
            return max((1, *_whole_numbers(node, "size")))
    return 1


def _whole_numbers(node: onnx.NodeProto, name: str) -> list[int]:
    return [number for own in node.attribute if own.name == name for number in ([*own.ints] or [own.i])]


def _shapes(graph: onnx.GraphProto, opset: int) -> dict[str, tuple[int, ...]]:
    """The shape of each value: by ONNX's own inference, on a copy without the weights."""
    bare = onnx.ModelProto(ir_version=8, opset_import=[onnx.helper.make_opsetid("", opset)])
    bare.graph.name = "shapes"
    bare.graph.node.extend(graph.node)
    bare.graph.input.extend(graph.input)
    images = bare.graph.input[0].type.tensor_type.shape.dim
    images[0].dim_value = images_at_once(images[1].dim_value, images[2].dim_value)
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _SMALL:
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True).graph
    except Exception as error:  # its errors share no public base
        reason = (str(error).splitlines() or [""])[-1][:200]
        raise _refused(f"the shapes in the graph do not fit: {reason}", "a graph that fits together") from error
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in [*inferred.input, *inferred.value_info]
        if value.type.tensor_type.HasField("shape")
        and all(side.HasField("dim_value") and side.dim_value >= 0 for side in value.type.tensor_type.shape.dim)
    }


def _refused(happened: str, expected: str) -> ModelFileError:
    return ModelFileError(happened, expected, "use a model.onnx that kopal train wrote, unchanged")
