"""Hostile and damaged model files, each made from a sound one by one small change.

`changed` works on the parsed file and seals it again, so that what is wrong is behind a good seal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.images import Geometry
from kopal.model_file import CARD, Card, _seal_entry
from kopal.nets.linear import linear

CLASSES = ("kočka", "pes", "alpaka")
GEOMETRY = Geometry(4, 5, 3)
TEMPERATURE = 1.5


def sound(classes: tuple[str, ...] = CLASSES, temperature: float = TEMPERATURE) -> Classifier:
    """A small linear classifier."""
    rng = np.random.default_rng(0)
    net = linear(len(classes), GEOMETRY.shape)
    weights = {
        "head.weight": rng.normal(size=(len(classes), 60)).astype(np.float32),
        "head.bias": rng.normal(size=len(classes)).astype(np.float32),
    }
    card = Card("linear", classes, GEOMETRY, temperature, provenance={"made": "by a test"})
    return Classifier.build(classifier_model(net, weights, temperature, len(classes)), card)


def file_of(classifier: Classifier) -> bytes:
    return classifier._data


def parsed(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.ParseFromString(data[: -len(_seal_entry(b""))])
    return model


def sealed(model: onnx.ModelProto) -> bytes:
    body = model.SerializeToString()
    return body + _seal_entry(body)


def changed(data: bytes, change: Callable[[onnx.ModelProto], Any]) -> bytes:
    model = parsed(data)
    change(model)
    return sealed(model)


def with_card(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The same graph under another card: `change` edits the card's JSON value, or returns another text."""

    def edit(model: onnx.ModelProto) -> None:
        card = json.loads(model.metadata_props[0].value)
        text = change(card)
        model.metadata_props[0].value = text if isinstance(text, str) else json.dumps(card)

    return changed(data, edit)


def external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")


def external_data_undeclared(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="../weights.bin")


def external_attribute(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="hidden.bin")
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))


def branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("If", ["scores"], ["chosen"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)


def loop(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Loop", ["", ""], [], body=helper.make_graph([], "inner", [], [])))


def graph_in_a_known_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [])))


def local_function(model: onnx.ModelProto) -> None:
    add = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [add], [helper.make_opsetid("", 17)]))


def custom_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def custom_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


def foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("NonZero", ["scores"], ["where"]))


def sparse_constant(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64)), [9])
    )


def training_step(model: onnx.ModelProto) -> None:
    model.training_info.add()


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def input_of_floats(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def input_of_another_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9


def input_of_one_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def input_of_no_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].ClearField("type")


def output_missing(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


def output_renamed(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "logits"


def outputs_swapped(model: onnx.ModelProto) -> None:
    first, second = model.graph.output[0].name, model.graph.output[1].name
    model.graph.output[0].name, model.graph.output[1].name = second, first


def output_of_another_width(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4


def no_graph(model: onnx.ModelProto) -> None:
    model.ClearField("graph")


def constant_missing(model: onnx.ModelProto) -> None:
    del model.graph.initializer[0]


def constant_of_another_shape(model: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    tensor.dims[1] = 61


def constant_too_large(model: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    tensor.dims[0] = 2**40


def edges_in_a_circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "scores"


def opset_of_tomorrow(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9999


def no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def second_card(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key=CARD, value="{}")


def second_seal(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="kopal.sha256", value="0" * 64)


def no_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def other_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="author", value="somebody")


GRAPHS: tuple[Callable[[onnx.ModelProto], None], ...] = (
    external_data,
    external_data_undeclared,
    external_attribute,
    branch,
    loop,
    graph_in_a_known_operator,
    local_function,
    custom_domain,
    custom_opset,
    foreign_operator,
    sparse_constant,
    training_step,
    second_input,
    input_of_floats,
    input_of_another_size,
    input_of_one_image,
    input_of_no_type,
    output_missing,
    output_renamed,
    outputs_swapped,
    output_of_another_width,
    no_graph,
    constant_missing,
    constant_of_another_shape,
    constant_too_large,
    edges_in_a_circle,
    opset_of_tomorrow,
    no_opset,
    second_card,
    second_seal,
    no_card,
    other_metadata,
)

CARDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda card: "{",
    "nothing": lambda card: "",
    "a list": lambda card: "[]",
    "a number": lambda card: "1",
    "not finite": lambda card: "NaN",
    "deep": lambda card: "[" * 200_000,
    "deep object": lambda card: '{"a":' * 200_000,
    "huge number": lambda card: '{"format": ' + "9" * 100_000 + "}",
    "huge": lambda card: json.dumps({"format": 1, "classes": ["x" * 20_000_000]}),
    "empty": lambda card: card.clear(),
    "format of tomorrow": lambda card: card.update(format=2),
    "format of text": lambda card: card.update(format="1"),
    "no classes": lambda card: card.pop("classes"),
    "one class": lambda card: card.update(classes=["a"]),
    "classes as text": lambda card: card.update(classes="abc"),
    "classes as object": lambda card: card.update(classes={"a": 1, "b": 2, "c": 3}),
    "classes as numbers": lambda card: card.update(classes=[1, 2, 3]),
    "class of nothing": lambda card: card.update(classes=["a", "b", None]),
    "another number of classes": lambda card: card.update(classes=["a", "b", "c", "d"]),
    "many classes": lambda card: card.update(classes=[str(n) for n in range(100_000)]),
    "the same class twice": lambda card: card.update(classes=["a", "b", "a"]),
    "temperature 0": lambda card: card.update(calibration={"temperature": 0}),
    "temperature -1": lambda card: card.update(calibration={"temperature": -1.0}),
    "temperature nan": lambda card: card.update(calibration={"temperature": float("nan")}),
    "temperature inf": lambda card: card.update(calibration={"temperature": float("inf")}),
    "temperature huge": lambda card: card.update(calibration={"temperature": 10**400}),
    "temperature list": lambda card: card.update(calibration={"temperature": [1]}),
    "temperature none": lambda card: card.update(calibration={}),
    "calibration text": lambda card: card.update(calibration="hot"),
    "no geometry": lambda card: card.pop("geometry"),
    "geometry text": lambda card: card.update(geometry="square"),
    "geometry unknown knob": lambda card: card["geometry"].update(tilt=3),
    "geometry of 0": lambda card: card["geometry"].update(height=0),
    "geometry huge": lambda card: card["geometry"].update(height=10**9),
    "geometry float": lambda card: card["geometry"].update(height=4.0),
    "geometry text side": lambda card: card["geometry"].update(height="4"),
    "geometry true": lambda card: card["geometry"].update(channels=True),
    "geometry crop nan": lambda card: card["geometry"].update(crop=float("nan")),
    "geometry crop text": lambda card: card["geometry"].update(crop="all"),
    "geometry filter": lambda card: card["geometry"].update(filter="magic"),
    "geometry filter list": lambda card: card["geometry"].update(filter=["bicubic"]),
    "geometry of another size": lambda card: card["geometry"].update(height=5),
    "no golden": lambda card: card.pop("golden"),
    "golden text": lambda card: card["golden"].update(scores="high"),
    "golden ragged": lambda card: card["golden"].update(scores=[[1, 2, 3], [1]]),
    "golden of another width": lambda card: card["golden"].update(scores=[[1, 2], [1, 2]]),
    "golden nan": lambda card: card["golden"].update(scores=[[1, 2, 3], [1, 2, float("nan")]]),
    "golden huge": lambda card: card["golden"].update(scores=[[1, 2, 3], [1, 2, 10**400]]),
    "threshold of an output that is not there": lambda card: card.update(thresholds={"unknown": {"threshold": 1.0}}),
    "thresholds text": lambda card: card.update(thresholds="low"),
    "no thresholds": lambda card: card.pop("thresholds"),
    "golden unknown text": lambda card: card["golden"].update(unknown="far"),
    "golden unknown of another length": lambda card: card["golden"].update(unknown=[1.0]),
    "golden unknown nan": lambda card: card["golden"].update(unknown=[1.0, float("nan")]),
    "provenance text": lambda card: card.update(provenance="home"),
    "provenance list": lambda card: card.update(provenance=[["a", "b"]]),
}
