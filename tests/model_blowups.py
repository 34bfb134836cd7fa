"""Nodes that are put into a model by chance and may make large things of small ones, or ask for what cannot be."""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from model_mutations import Mutation, number


def insert_after(model: onnx.ModelProto, dice: random.Random, op: str, *more: str, **attributes: object) -> None:
    """One node more, on the way of some value to those that use it."""
    place = dice.randrange(len(model.graph.node)) if model.graph.node else 0
    source = model.graph.node[place].output[0] if model.graph.node and model.graph.node[place].output else "pixels"
    for node in model.graph.node:
        node.input[:] = ["wedge" if name == source else name for name in node.input]
    inputs = [source if name == "x" else name for name in (*more,)] or [source]
    model.graph.node.insert(place + 1, helper.make_node(op, inputs, ["wedge"], **attributes))


def constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def padding(model: onnx.ModelProto, dice: random.Random) -> None:
    pads = np.array([number(dice) if dice.random() < 0.3 else 0 for _ in range(dice.choice([2, 4, 8]))], np.int64)
    insert_after(model, dice, "Pad", "x", constant(model, "by", pads))


def reshaping(model: onnx.ModelProto, dice: random.Random) -> None:
    shape = [dice.choice([-1, 0, 1, 3, number(dice)]) for _ in range(dice.randrange(1, 5))]
    insert_after(model, dice, "Reshape", "x", constant(model, "shape", np.array(shape, np.int64)))


def crosswise(model: onnx.ModelProto, dice: random.Random) -> None:
    """A row and a column of a constant each, which together are a plane."""
    side = dice.choice([10, 1000, 20_000])
    row = constant(model, "row", np.ones((1, side), np.float32))
    column = constant(model, "column", np.ones((side, 1), np.float32))
    place = dice.randrange(len(model.graph.node) + 1)
    op = dice.choice(["Add", "Mul", "Max", "MatMul", "Sub", "GreaterOrEqual"])
    model.graph.node.insert(place, helper.make_node(op, [column, row], ["plane"]))
    if dice.random() < 0.5:
        insert_after(model, dice, "Add", "x", "plane")


def doubling(model: onnx.ModelProto, dice: random.Random) -> None:
    last = "pixels"
    for step in range(dice.choice([3, 20, 60])):
        node = helper.make_node("Concat", [last] * 2, [f"double{step}"], axis=dice.choice([0, 1, 3]))
        model.graph.node.insert(step, node)
        last = node.output[0]


def gathering(model: onnx.ModelProto, dice: random.Random) -> None:
    shape = dice.choice([(1000,), (5,), (3, 3), (0,), ()])
    places = np.full(shape, dice.choice([0, 1, -1, 10**6, -(10**9)]), np.int64)
    insert_after(model, dice, "Gather", "x", constant(model, "places", places), axis=dice.choice([0, 1, 2, 3, -1, 9]))


def slicing(model: onnx.ModelProto, dice: random.Random) -> None:
    count = dice.choice([1, 1, 2, 9])
    values = [constant(model, name, np.array([number(dice)] * count, np.int64)) for name in ("start", "stop", "step")]
    axes = constant(model, "axes", np.array([dice.choice([0, 1, -1, 7, 2**40])] * count, np.int64))
    insert_after(model, dice, "Slice", "x", values[0], values[1], axes, values[2])


def topping(model: onnx.ModelProto, dice: random.Random) -> None:
    best = constant(model, "best", np.array([number(dice)], np.int64))
    insert_after(model, dice, "TopK", "x", best, axis=dice.choice([0, 1, -1, 5]))


def pooling(model: onnx.ModelProto, dice: random.Random) -> None:
    def pair() -> list[int]:
        return [dice.choice([1, 2, 3, number(dice)]) for _ in range(dice.choice([2, 2, 2, 1, 3]))]

    op = dice.choice(["MaxPool", "AveragePool", "LRN", "InstanceNormalization", "LayerNormalization"])
    if "Pool" in op:
        pads = [dice.choice([0, 1, number(dice)]) for _ in range(4)]
        options = {"strides": pair(), "pads": pads, "ceil_mode": dice.choice([0, 1, 7])}
        insert_after(model, dice, op, kernel_shape=pair(), **options)
    elif op == "LRN":
        insert_after(model, dice, op, size=number(dice))
    else:
        ones = constant(model, "ones", np.ones(dice.choice([0, 1, 3, 5]), np.float32))
        more = {"axis": dice.choice([-1, 0, 5, number(dice)])} if op[0] == "L" else {}
        insert_after(model, dice, op, "x", ones, ones, **more)


def convolving(model: onnx.ModelProto, dice: random.Random) -> None:
    shape = [dice.choice([0, 1, 2, 3, 8]) for _ in range(dice.choice([3, 4, 4, 4, 5]))]
    weights = constant(model, "kernels", np.ones(shape, np.float32))
    options = {"group": dice.choice([1, 1, 0, 3, number(dice)]), "dilations": [dice.choice([1, 2, number(dice)])] * 2}
    insert_after(model, dice, "Conv", "x", weights, **options)


def casting(model: onnx.ModelProto, dice: random.Random) -> None:
    insert_after(model, dice, "Cast", to=dice.choice([*range(24), 99, -1]))


def reducing(model: onnx.ModelProto, dice: random.Random) -> None:
    axes = [dice.choice([0, 1, -1, 9, number(dice)]) for _ in range(dice.choice([0, 1, 2]))]
    op = dice.choice(["ReduceMean", "ReduceL2", "ReduceMax", "ArgMax", "Softmax", "Flatten", "Split", "Transpose"])
    if op.startswith("Reduce"):
        insert_after(model, dice, op, axes=axes, keepdims=dice.choice([0, 1, 5]))
    elif op == "Transpose":
        insert_after(model, dice, op, perm=axes)
    else:
        insert_after(model, dice, op, axis=dice.choice([0, 1, -1, 9, number(dice)]))


BLOWUPS: tuple[Mutation, ...] = (
    *(padding, reshaping, crosswise, doubling, gathering, slicing),
    *(topping, pooling, convolving, casting, reducing),
)
