"""Graphs written into one: what is equal stands once, what differs in anything stands again."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from kopal.backends.onnx_merge import Merge
from kopal.errors import ModelFileError


def test_nodes_before_their_inputs_are_refused() -> None:
    head = helper.make_node("Relu", ["pixels"], ["b"], name="late")
    graph = helper.make_graph([helper.make_node("Relu", ["b"], ["a"], name="early"), head], "g", [], [])
    with pytest.raises(ModelFileError, match="'early' stands before"):
        Merge().take(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "a", "x.")


def one_node(op: str, constant: np.ndarray, **attributes: object) -> onnx.ModelProto:
    """pixels → y by one operator with one constant, after a node that nothing needs."""
    nodes = [
        helper.make_node("Neg", ["pixels"], ["dead"]),
        helper.make_node(op, ["pixels", "c"], ["y"], name="made", **attributes),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(constant, "c")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_equal_constants_and_equal_nodes_are_written_once() -> None:
    merge = Merge()
    names = [merge.take(one_node("Add", np.ones((2, 3), np.float32)), "y", f"{number}.") for number in range(3)]
    assert names == ["0.y"] * 3
    assert len(merge.graph.nodes) == len(merge.graph.constants) == 1


@pytest.mark.parametrize(
    "other",
    [
        one_node("Concat", np.ones((3, 2), np.float32), axis=1),
        one_node("Concat", np.ones((2, 3), np.int32), axis=1),
        one_node("Concat", np.full((2, 3), 2, np.float32), axis=1),
        one_node("Concat", np.ones((2, 3), np.float32), axis=0),
        one_node("Add", np.ones((2, 3), np.float32)),
    ],
    ids=["shape", "type", "value", "attribute", "operator"],
)
def test_what_differs_in_anything_is_written_again(other: onnx.ModelProto) -> None:
    merge = Merge()
    first = merge.take(one_node("Concat", np.ones((2, 3), np.float32), axis=1), "y", "0.")
    assert (first, merge.take(other, "y", "1.")) == ("0.y", "1.y")
    assert len(merge.graph.nodes) == 2


def test_a_constant_that_is_the_output_itself_is_taken_along() -> None:
    merge = Merge()
    assert merge.take(one_node("Add", np.ones(3, np.float32)), "c", "0.") == "0.c"
    assert [*merge.graph.constants] == ["0.c"]
