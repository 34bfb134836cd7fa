"""Tensors of the Open Inference Protocol, version 2: as JSON, or as bytes behind it (binary tensor extension).

Source: github.com/kserve/open-inference-protocol and Triton's extension_binary_data.md. The header
`Inference-Header-Content-Length` says where the JSON ends; each tensor with `binary_data_size` follows, little-endian,
in the order of the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels
from kopal.serve.exchange import Answer, Headers, Refusal, json_answer

LENGTH = "Inference-Header-Content-Length"
LONGEST_JSON = 4 << 20
"""Parsing JSON holds Python's lock: more would keep everybody waiting. Binary tensors have no such limit."""

_NAMES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}


def datatype(values: NDArray[Any]) -> str:
    """The protocol's name for an array's type."""
    return _NAMES[values.dtype.name]


def read_request(body: bytes, headers: Headers) -> tuple[dict[str, Any], memoryview]:
    """A body → its JSON object and the bytes behind it. Raises `Refusal` 400 or 413."""
    text = headers.one(LENGTH.lower())
    length = len(body)
    if text is not None:
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= len(body)):
            raise Refusal(400, f"{LENGTH} is not a length within the body")
        length = int(text)
    if length > LONGEST_JSON:
        raise Refusal(413, f"more than {LONGEST_JSON} bytes of JSON: send binary tensors")
    try:
        value = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON") from error
    if not isinstance(value, dict):
        raise Refusal(400, "the body is not a JSON object")
    return value, memoryview(body)[length:]


def read_pixels(value: Mapping[str, Any], behind: memoryview, shape: tuple[int, int, int]) -> Pixels:
    """The one input, `pixels` UINT8 (N, H, W, C), from its JSON or the bytes behind it. Raises `Refusal` 400."""
    inputs = value.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise Refusal(400, "inputs must hold one tensor, pixels")
    tensor = inputs[0]
    wanted = f"pixels, UINT8, shape [N, {', '.join(map(str, shape))}]"
    said = tensor.get("shape")
    if (
        tensor.get("name") != "pixels"
        or tensor.get("datatype") != "UINT8"
        or not isinstance(said, list)
        or [type(side) for side in said] != [int] * 4
        or tuple(said[1:]) != shape
        or not 0 <= said[0] <= 1 << 20
    ):
        raise Refusal(400, f"the input must be {wanted}")
    count = said[0] * shape[0] * shape[1] * shape[2]
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        return _from_json(tensor.get("data"), count).reshape(said)
    if type(size) is not int or size != count or len(behind) != count or "data" in tensor:
        raise Refusal(400, f"binary_data_size must be {count} and as many bytes must follow the JSON")
    return np.frombuffer(behind, np.uint8).reshape(said)


def wanted_outputs(value: Mapping[str, Any], known: Sequence[str]) -> dict[str, bool]:
    """The outputs that are asked for → whether as bytes, in the order of the answer. Raises `Refusal` 400."""
    binary = _parameters(value).get("binary_data_output", False)
    asked = value.get("outputs") or [{"name": name} for name in known]
    if not isinstance(asked, list) or not all(isinstance(output, dict) for output in asked):
        raise Refusal(400, "outputs must be a list of objects")
    wanted: dict[str, bool] = {}
    for output in asked:
        name, parameters = output.get("name"), _parameters(output)
        if not isinstance(name, str) or name not in known or name in wanted:
            raise Refusal(400, f"outputs may name {', '.join(known)}, each once")
        if parameters.get("classification"):
            raise Refusal(400, "classification is not offered here: ask POST /v1/predict")
        wanted[name] = parameters.get("binary_data", binary) is True
    return wanted


def write_answer(value: dict[str, Any], outputs: Mapping[str, NDArray[Any]], wanted: Mapping[str, bool]) -> Answer:
    """The response: `value` with the outputs in it, and behind it those that are wanted as bytes."""
    tensors, behind = [], []
    for name, binary in wanted.items():
        values = outputs[name]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype(values), "shape": list(values.shape)}
        if binary:
            data = values.astype(values.dtype.newbyteorder("<")).tobytes()
            tensor["parameters"] = {"binary_data_size": len(data)}
            behind.append(data)
        else:
            tensor["data"] = values.ravel().tolist()
        tensors.append(tensor)
    answer = json_answer(value | {"outputs": tensors})
    if not behind:
        return answer
    length = (LENGTH, str(len(answer.body)))
    return Answer(200, answer.body + b"".join(behind), "application/octet-stream", (length,))


def _from_json(data: object, count: int) -> Pixels:
    try:
        values = np.array(data)
    except (ValueError, OverflowError) as error:
        raise Refusal(400, "data must hold whole numbers, flat or nested evenly") from error
    if values.size != count or (count and values.dtype.kind not in "iu"):
        raise Refusal(400, f"data must hold {count} whole numbers")
    if count and (values.min() < 0 or values.max() > 255):
        raise Refusal(400, "pixels are whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = value.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Refusal(400, "parameters must be an object")
    return parameters
