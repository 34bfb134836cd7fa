"""The file model.onnx: an ONNX graph with kopal's face, one JSON card in its metadata, and a seal.

    file = body ‖ one metadata entry "kopal.sha256" = sha256(body)

The seal is a protobuf field at the very end, so the file stays plain ONNX, and the digest covers all bytes before it.
Opening executes nothing. Before a runtime sees the graph we refuse a broken seal, data outside the file, control flow,
functions, foreign operators and another face; a second seal entry is refused too, since readers let the last one win.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from kopal.arrays import Pixels
from kopal.errors import KopalError, ModelFileError
from kopal.graph_demands import check_demands
from kopal.images import Geometry

CARD, SEAL = "kopal", "kopal.sha256"
UNKNOWN = "unknown"
"""The optional output float32 (N,), and the key of its entry in a card's thresholds."""
FORMAT = 1

INT8_OPERATORS = ("QuantizeLinear", "DequantizeLinear")

OPERATORS = frozenset(
    {
        *("Add", "Concat", "Div", "Gemm", "Identity", "Mul"),
        *("Conv", "BatchNormalization", "LRN", "AveragePool", "GlobalAveragePool", "MaxPool"),
        *("Clip", "Relu", "Sigmoid", "Softmax", "Tanh"),
        # what a reader's own function may need: arithmetic on elements, and nothing that makes large things of small
        *("Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max", "Min", "Neg", "Pow"),
        *("Reciprocal", "Softplus", "Softsign", "Sqrt", "Sub"),
        *("ArgMax", "Cast", "Flatten", "Transpose"),
        # what an ensemble needs: columns in another order (by a list that lies in the file, see below), and the mean
        *("Gather", "Mean"),
        # what torch modules are made of beside all that; Pad can no more than the padding of Conv
        *("MatMul", "InstanceNormalization", "LayerNormalization"),
        *("ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum"),
        *("Pad", "Reshape", "Slice", "Split"),
        # what heads need that are no layers: the nearest references, and the answers of trees
        *("GreaterOrEqual", "TopK"),
        # nets in whole numbers: both work on elements
        *INT8_OPERATORS,
    }
)


@dataclass(frozen=True)
class Card:
    """What the file says of itself: everything that prediction needs beside the graph.

    `golden` holds the scores that the graph gave for `golden_pixels(geometry)` when it was made, `golden_unknown` what
    its output `unknown` gave, where it has one; above `thresholds["unknown"]["threshold"]` a photo is of no class.
    """

    net: str
    classes: tuple[str, ...]
    geometry: Geometry
    temperature: float
    golden: tuple[tuple[float, ...], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    golden_unknown: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, `Card.from_json` is the way back."""
        return {
            "format": FORMAT,
            "net": self.net,
            "classes": list(self.classes),
            "geometry": self.geometry.as_json() | {"in_words": in_words(self.geometry)},
            "calibration": {"temperature": self.temperature},
            "thresholds": dict(self.thresholds),
            "golden": {"pixels": GOLDEN_WORDS, "scores": [list(row) for row in self.golden]}
            | ({"unknown": list(self.golden_unknown)} if self.golden_unknown else {}),
            "provenance": dict(self.provenance),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Card:
        """The card from its JSON value. Raises `ModelFileError` where it is not one of ours."""
        try:
            if value["format"] != FORMAT:
                raise ModelFileError(f"the file has format {value['format']!r:.50}", f"format {FORMAT}", "update kopal")
            geometry = {key: entry for key, entry in value["geometry"].items() if key != "in_words"}
            if not all(type(geometry[side]) is int for side in ("height", "width", "channels")):
                raise TypeError("a side that is not a whole number")
            if type(value["classes"]) is not list or not all(type(name) is str for name in value["classes"]):
                raise TypeError("class names that are not a list of texts")
            return Card(
                str(value["net"]),
                tuple(value["classes"]),
                Geometry(**geometry),
                float(value["calibration"]["temperature"]),
                tuple(tuple(map(float, row)) for row in value["golden"]["scores"]),
                {**value["provenance"]},
                {**value["thresholds"]},
                tuple(map(float, value["golden"].get("unknown", ()))),
            )
        except ModelFileError:
            raise
        except (KopalError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            reason = error.happened if isinstance(error, KopalError) else f"{type(error).__name__}: {error}"
            raise _refused(f"the model's card is damaged: {reason}", "a card as kopal writes it") from error


GOLDEN_WORDS = "shake_256(b'kopal golden') as 2 images in (N, H, W, C) order"


def golden_pixels(geometry: Geometry) -> Pixels:
    """Two images (2, H, W, C) of noise that every machine makes alike, so that no photo leaves the house."""
    noise = hashlib.shake_256(b"kopal golden").digest(2 * int(np.prod(geometry.shape)))
    return np.frombuffer(noise, np.uint8).reshape(2, *geometry.shape)


def in_words(geometry: Geometry) -> str:
    """How to make pixels for this file without kopal."""
    colour = "RGB" if geometry.channels == 3 else "grey"
    return (
        f"upright by EXIF, transparency over white, {colour}; the largest centred box of shape "
        f"{geometry.width}:{geometry.height} times {geometry.crop:g}, resized to {geometry.width} x {geometry.height} "
        f"(width x height) with Pillow's {geometry.filter} filter; uint8, channels last"
    )


def seal(model: onnx.ModelProto, card: Card) -> bytes:
    """The file's bytes: the model with its card, then the seal."""
    sealed = onnx.ModelProto()
    sealed.CopyFrom(model)
    del sealed.metadata_props[:]
    sealed.metadata_props.add(key=CARD, value=json.dumps(card.as_json(), separators=(",", ":")))
    body: bytes = sealed.SerializeToString(deterministic=True)
    return body + _seal_entry(body)


def unseal(data: bytes) -> tuple[onnx.ModelProto, Card]:
    """A file's bytes → its graph and card, both checked. Raises `ModelFileError`."""
    size = len(_seal_entry(b""))
    body = data[:-size]
    if len(data) <= size or data[-size:] != _seal_entry(body):
        raise ModelFileError(
            "the file is damaged, or was not written by kopal",
            "a model.onnx whose sha256 seal matches its content",
            "copy the file again, or train anew with kopal train",
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(body)
    except Exception as error:  # protobuf's DecodeError lives in different places in different versions
        raise _refused("the file is not ONNX", "a model.onnx from kopal train") from error
    card = Card.from_json(_card(model))
    check_graph(model, card)
    return model, card


def check_graph(model: onnx.ModelProto, card: Card) -> None:
    """Raises `ModelFileError` unless the graph is self-contained, made of known operators, and has the face."""
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise _refused("the graph holds functions, training steps or sparse constants", "a plain graph")
    for tensor in _tensors(graph):
        if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
            raise _refused(f"constant {tensor.name!r} lies outside the file", "a file that holds all its data")
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            raise _refused(f"the graph uses operators of domain {opset.domain!r}", "standard ONNX operators")
    if len(model.opset_import) != 1:
        raise _refused(f"the graph names {len(model.opset_import)} sets of operators", "one")
    lists = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            raise _refused(
                f"operator {node.domain}{node.op_type!r} is not on kopal's list", ", ".join(sorted(OPERATORS))
            )
        if node.op_type == "Gather" and not lists.issuperset(node.input[1:]):
            # By computed places a small file could make large things.
            raise _refused(f"node {node.name!r} gathers by what is no list in the file", "a constant with one axis")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise _refused(f"node {node.name!r} holds a graph of its own", "no control flow")
    _check_face(graph, card)
    check_demands(graph, model.opset_import[0].version)


def computes_in_int8(model: onnx.ModelProto) -> bool:
    """Whether a graph rounds to bytes on its way: other processors then answer nearly, not exactly, alike."""
    return any(node.op_type in INT8_OPERATORS for node in model.graph.node)


def _check_face(graph: onnx.GraphProto, card: Card) -> None:
    classes = len(card.classes)
    if classes < 2 or len(set(card.classes)) != classes:
        raise _refused(f"the card names the classes {list(card.classes[:10])}", "two or more different names")
    if not 0 < card.temperature < float("inf"):
        raise _refused(f"the card has temperature {card.temperature}", "a number above 0")
    if [len(row) for row in card.golden] not in ([], [classes] * 2) or not np.isfinite(card.golden).all():
        raise _refused("the card's golden scores are damaged", f"2 rows of {classes} numbers")
    if len(card.golden_unknown) not in (0, 2) or not np.isfinite(card.golden_unknown).all():
        raise _refused("the card's golden `unknown` is damaged", "2 numbers")
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [_signature(value) for value in graph.input if value.name not in constants]
    outputs = [_signature(value) for value in graph.output]
    wanted_inputs = [("pixels", TensorProto.UINT8, ("N", *card.geometry.shape))]
    wanted_outputs = [
        ("scores", TensorProto.FLOAT, ("N", classes)),
        ("probabilities", TensorProto.FLOAT, ("N", classes)),
        ("label", TensorProto.INT64, ("N",)),
    ]
    optional = [(UNKNOWN, TensorProto.FLOAT, ("N",))]
    if inputs != wanted_inputs or outputs not in (wanted_outputs, wanted_outputs + optional):
        raise _refused(f"the graph takes {inputs} and gives {outputs}", f"{wanted_inputs} and {wanted_outputs}")
    if (outputs == wanted_outputs) == (UNKNOWN in card.thresholds):
        raise _refused("of the output `unknown` and its threshold one is missing", "both or neither")
    if UNKNOWN in card.thresholds and not _is_limit(card.thresholds[UNKNOWN]):
        raise _refused("the card's threshold of `unknown` is damaged", "a number above 0")


def _is_limit(value: object) -> bool:
    limit = value.get("threshold") if isinstance(value, Mapping) else None
    return isinstance(limit, int | float) and limit is not True and 0 < limit < float("inf")


def _refused(happened: str, expected: str) -> ModelFileError:
    return ModelFileError(happened[:1000], expected, "use a model.onnx that kopal train wrote, unchanged")


def _signature(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[str | int, ...]]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(side.dim_param or side.dim_value for side in tensor.shape.dim)


def _tensors(graph: onnx.GraphProto) -> Sequence[onnx.TensorProto]:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    return [
        *graph.initializer,
        *(attribute.t for attribute in attributes if attribute.HasField("t")),
        *(tensor for attribute in attributes for tensor in attribute.tensors),
    ]


def _card(model: onnx.ModelProto) -> Mapping[str, Any]:
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    if [key for key, _ in entries] != [CARD]:
        raise _refused(f"the metadata holds {[key for key, _ in entries]}", f"one entry, {CARD!r}, before the seal")
    try:
        value = json.loads(entries[0][1])
    except (ValueError, RecursionError) as error:
        raise _refused("the model's card is not JSON", "a card as kopal writes it") from error
    if not isinstance(value, dict):
        raise _refused("the model's card is not a JSON object", "a card as kopal writes it")
    return value


def _seal_entry(body: bytes) -> bytes:
    """The last metadata entry as raw protobuf: field 14 of ModelProto, length-delimited."""
    seal_entry = onnx.StringStringEntryProto(key=SEAL, value=hashlib.sha256(body).hexdigest())
    entry: bytes = seal_entry.SerializeToString()
    return bytes([14 << 3 | 2, len(entry)]) + entry


def as_golden(scores: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    """Scores (2, K) as the card keeps them."""
    return tuple(tuple(float(score) for score in row) for row in scores)
