"""Ways in which a parsed model is changed by chance: its header, constants, names, edges, shapes and attributes.

Large numbers are taken from LIES, where sizes overflow, turn negative, or ask for all the memory there is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import attacks
from kopal.model_file import CARD, OPERATORS

LIES = (0, 1, 2, 3, 5, 7, 64, 255, 1000, 2**16, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1)
Mutation = Callable[[onnx.ModelProto, random.Random], None]


def number(dice: random.Random) -> int:
    value = dice.choice(LIES)
    return -value if dice.random() < 0.3 else value


def any_node(model: onnx.ModelProto, dice: random.Random) -> onnx.NodeProto:
    return dice.choice(model.graph.node) if model.graph.node else model.graph.node.add(op_type="Relu")


def any_tensor(model: onnx.ModelProto, dice: random.Random) -> onnx.TensorProto:
    return dice.choice(model.graph.initializer) if model.graph.initializer else model.graph.initializer.add(name="new")


def any_name(model: onnx.ModelProto, dice: random.Random) -> str:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    return dice.choice([*names, *(tensor.name for tensor in model.graph.initializer), "pixels", "", "nothing"])


# the header


def versions(model: onnx.ModelProto, dice: random.Random) -> None:
    match dice.randrange(4):
        case 0:
            model.ir_version = dice.choice([0, 1, 3, 7, 9, 13, 99, 2**31, 2**63 - 1])
        case 1:
            for opset in model.opset_import:
                opset.version = dice.choice([-1, 0, 1, 6, 9, 11, 12, 13, 15, 16, 18, 20, 23, 26, 99, 2**63 - 1])
        case 2:
            domain = dice.choice(["", "ai.onnx", "com.microsoft", "ai.onnx.ml", "x" * 1000])
            model.opset_import.append(helper.make_opsetid(domain, dice.choice([1, 17, 21])))
        case _:
            model.producer_name, model.domain, model.doc_string = "x" * 10_000, "é" * 999, "\n" * 10_000


def metadata(model: onnx.ModelProto, dice: random.Random) -> None:
    key = dice.choice([CARD, "kopal.sha256", "author", ""])
    match dice.randrange(3):
        case 0:
            model.metadata_props.add(key=key, value=dice.choice(["", "{}", "x" * 100_000]))
        case 1:
            model.metadata_props[0].key = key
        case _:
            model.metadata_props.insert(0, onnx.StringStringEntryProto(key=key, value="{}"))


def card(model: onnx.ModelProto, dice: random.Random) -> None:
    """Some value of the card, however deep, becomes another."""
    value = json.loads(model.metadata_props[0].value)
    at, key = value, dice.choice(sorted(value))
    while isinstance(at[key], dict | list) and at[key] and dice.random() < 0.8:
        at = at[key]
        key = dice.choice(sorted(at)) if isinstance(at, dict) else dice.randrange(len(at))
    at[key] = dice.choice([None, True, -1, 0, 1e308, 10**30, float("nan"), "", "x" * 5000, [], {}, [[]], [1] * 9])
    model.metadata_props[0].value = json.dumps(value)


def foreign(model: onnx.ModelProto, dice: random.Random) -> None:
    any_node(model, dice).domain = dice.choice(["com.microsoft", "ai.onnx.ml", "ai.onnx", "ai.onnx.training", "x"])


def functions(model: onnx.ModelProto, dice: random.Random) -> None:
    dice.choice([attacks.local_function, attacks.training_step, attacks.sparse_constant])(model)


# constants


def kind(model: onnx.ModelProto, dice: random.Random) -> None:
    any_tensor(model, dice).data_type = dice.randrange(-1, 27)


def sides(model: onnx.ModelProto, dice: random.Random) -> None:
    tensor = any_tensor(model, dice)
    match dice.randrange(4):
        case 0 if tensor.dims:
            tensor.dims[dice.randrange(len(tensor.dims))] = number(dice)
        case 1:
            tensor.dims.append(number(dice))
        case 2 if tensor.dims:
            del tensor.dims[-1]
        case _:
            tensor.dims[:] = [number(dice) for _ in range(dice.choice([1, 2, 4, 200]))]


def contents(model: onnx.ModelProto, dice: random.Random) -> None:
    tensor = any_tensor(model, dice)
    raw = tensor.raw_data
    match dice.randrange(5):
        case 0:
            tensor.raw_data = raw[: dice.randrange(len(raw) + 1)]
        case 1:
            tensor.raw_data = raw + bytes(dice.choice([1, 4, 4000]))
        case 2:
            tensor.ClearField("raw_data")
        case 3:
            tensor.float_data.extend([1.0] * dice.choice([1, 60, 1000]))
        case _:
            tensor.ClearField("raw_data")
            tensor.string_data.extend([b"x"] * 60)


def numbers(model: onnx.ModelProto, dice: random.Random) -> None:
    """NaN, infinity or plain noise in place of some weights."""
    tensor = any_tensor(model, dice)
    raw = bytearray(tensor.raw_data)
    pattern = dice.choice(
        [b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff" * 4, b"\0\0\0\0", b"\xff\xff\x7f\x7f", b"\1\0\0\0"]
    )
    if dice.random() < 0.5:
        raw[:] = pattern * (len(raw) // 4) + bytes(len(raw) % 4)
    elif len(raw) >= 4:
        at = dice.randrange(len(raw) // 4) * 4
        raw[at : at + 4] = pattern
    tensor.raw_data = bytes(raw)


def whole_numbers(model: onnx.ModelProto, dice: random.Random) -> None:
    """Constants of whole numbers say where to cut and how to shape: they lie."""
    ours = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64]
    if not ours:
        return
    tensor = dice.choice(ours)
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    for _ in range(dice.choice([1, 2])):
        if len(values):
            values[dice.randrange(len(values))] = number(dice)
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(tuple(tensor.dims)), tensor.name))


def outside(model: onnx.ModelProto, dice: random.Random) -> None:
    tensor = any_tensor(model, dice)
    match dice.randrange(4):
        case 0:
            tensor.data_location = TensorProto.EXTERNAL
        case 1:
            tensor.external_data.add(key="location", value="/etc/passwd")
        case 2:
            attacks.external_attribute(model)
        case _:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=dice.choice(["/etc/hostname", "../x", "*/_ORT_MEM_ADDR_/*"]))
            tensor.external_data.add(key="offset", value=str(number(dice)))
            tensor.external_data.add(key="length", value=str(number(dice)))


# names, shapes, edges


def names(model: onnx.ModelProto, dice: random.Random) -> None:
    name = any_name(model, dice)
    match dice.randrange(4):
        case 0:
            any_tensor(model, dice).name = name
        case 1:
            node = any_node(model, dice)
            node.output[dice.randrange(len(node.output))] = name
        case 2:
            model.graph.initializer.append(any_tensor(model, dice))
        case _:
            dice.choice([*model.graph.input, *model.graph.output]).name = name


def edges(model: onnx.ModelProto, dice: random.Random) -> None:
    node = any_node(model, dice)
    match dice.randrange(4):
        case 0 if node.input:
            node.input[dice.randrange(len(node.input))] = any_name(model, dice)
        case 1:
            node.input.append(any_name(model, dice))
        case 2 if node.input:
            del node.input[-1]
        case _:
            node.output.append(any_name(model, dice))


def order(model: onnx.ModelProto, dice: random.Random) -> None:
    nodes = list(model.graph.node)
    match dice.randrange(4):
        case 0:
            dice.shuffle(nodes)
        case 1:
            nodes.pop(dice.randrange(len(nodes)))
        case 2:
            nodes.append(dice.choice(nodes))
        case _:
            nodes *= 3
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def face(model: onnx.ModelProto, dice: random.Random) -> None:
    value = dice.choice([*model.graph.input, *model.graph.output])
    tensor = value.type.tensor_type
    match dice.randrange(5):
        case 0:
            tensor.elem_type = dice.randrange(0, 24)
        case 1 if tensor.shape.dim:
            dice.choice(tensor.shape.dim).dim_value = number(dice)
        case 2:
            tensor.shape.dim.add().dim_value = number(dice)
        case 3:
            dice.choice([model.graph.input, model.graph.output]).add().CopyFrom(value)
        case _:
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1


def told_shapes(model: onnx.ModelProto, dice: random.Random) -> None:
    for _ in range(dice.choice([1, 5])):
        shape = [number(dice) for _ in range(dice.randrange(5))]
        model.graph.value_info.append(
            helper.make_tensor_value_info(any_name(model, dice), dice.randrange(1, 17), shape)
        )


# attributes and operators


def attribute(model: onnx.ModelProto, dice: random.Random) -> None:
    held = [own for node in model.graph.node for own in node.attribute]
    if not held:
        return
    own = dice.choice(held)
    match dice.randrange(6):
        case 0 if own.ints:
            own.ints[dice.randrange(len(own.ints))] = number(dice)
        case 1 if own.ints:
            own.ints[:] = [number(dice) for _ in range(dice.choice([0, 1, 2, 4, 8, 100]))]
        case 2:
            own.type = dice.randrange(15)
        case 3:
            own.name = dice.choice(["axis", "to", "kernel_shape", "auto_pad", "pads", "group", "body", "value", ""])
        case 4:
            own.ref_attr_name = "alpha"
        case _:
            own.i, own.f = number(dice), dice.choice([float("nan"), float("inf"), -1.0, 0.0, 1e38])


def more_attributes(model: onnx.ModelProto, dice: random.Random) -> None:
    value = dice.choice([number(dice), [number(dice)] * dice.choice([1, 2, 4]), 0.5, "VALID", "SAME_UPPER", b"\xff"])
    name = dice.choice(["axis", "axes", "auto_pad", "ceil_mode", "dilations", "group", "mode", "perm", "pads", "to"])
    any_node(model, dice).attribute.append(helper.make_attribute(name, value))


def operator(model: onnx.ModelProto, dice: random.Random) -> None:
    any_node(model, dice).op_type = dice.choice(sorted(OPERATORS))


def off_the_list(model: onnx.ModelProto, dice: random.Random) -> None:
    ops = ("Constant", "ConstantOfShape", "Expand", "Tile", "NonZero", "Loop", "If", "Scan", "Range", "PyOp")
    any_node(model, dice).op_type = dice.choice(ops)


def control(model: onnx.ModelProto, dice: random.Random) -> None:
    inner = helper.make_graph([], "inner", [], [])
    for _ in range(dice.choice([1, 2, 5, 25])):
        node = helper.make_node("If", ["scores"], ["x"], then_branch=inner)
        inner = helper.make_graph([node], "inner", [], [])
    name = dice.choice(["body", "then_branch", "value", ""])
    any_node(model, dice).attribute.append(AttributeProto(name=name, g=inner, type=dice.choice([5, 10, 2])))


STRUCTURE: tuple[Mutation, ...] = (
    *(versions, metadata, card, foreign, functions),
    *(kind, sides, contents, numbers, whole_numbers, outside),
    *(names, edges, order, face, told_shapes),
    *(attribute, attribute, more_attributes, operator, off_the_list, control),
)
