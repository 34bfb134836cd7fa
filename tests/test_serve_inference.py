"""The Open Inference Protocol: the client from PyPI that everybody uses, unchanged, and requests made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attacks import GEOMETRY, sound
from careful import KNOWN, careful
from kopal import images
from kopal.serve.app import App
from serving import LOCAL, PLAIN, TWO, Running, application, ask, photo, running

CLASSIFIER = sound()
PIXELS = np.random.default_rng(0).integers(0, 256, (7, *GEOMETRY.shape), dtype=np.uint8)
EXPECTED = CLASSIFIER.outputs(PIXELS)
INFER = "/v2/models/model/infer"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(classifier=CLASSIFIER) as made:
        yield made


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with application(classifier=CLASSIFIER) as (made, _):
        yield made


@pytest.fixture
def triton(server: Running) -> Iterator[Any]:
    pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]' brings it")
    import tritonclient.http

    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def tensor(pixels: np.ndarray, binary: bool) -> Any:
    import tritonclient.http

    made = tritonclient.http.InferInput("pixels", list(pixels.shape), "UINT8")
    made.set_data_from_numpy(pixels, binary_data=binary)
    return made


def test_tritonclient_finds_server_and_model_alive_ready_and_described(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("model")
    assert triton.is_model_ready("model", "1")
    assert not triton.is_model_ready("other")
    assert triton.get_server_metadata()["name"] == "kopal"
    for version in ("", "1"):
        about = triton.get_model_metadata("model", version)
        assert about["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, *GEOMETRY.shape]}]
        assert [output["name"] for output in about["outputs"]] == ["scores", "probabilities", "label"]
        assert [output["datatype"] for output in about["outputs"]] == ["FP32", "FP32", "INT64"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_tritonclient_gets_the_numbers_of_the_library(
    triton: Any, binary_in: bool, binary_out: bool | None, count: int
) -> None:
    import tritonclient.http

    asked = None
    if binary_out is not None:
        asked = [
            tritonclient.http.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "probabilities")
        ]
    result = triton.infer("model", [tensor(PIXELS[:count], binary_in)], outputs=asked, request_id="seven")
    assert result.get_response()["id"] == "seven"
    for name in ("label", "probabilities") if asked else EXPECTED:
        found = result.as_numpy(name)
        assert found.dtype == EXPECTED[name].dtype
        assert np.array_equal(found, EXPECTED[name][:count])
    assert (result.as_numpy("scores") is None) == bool(asked)


def test_tritonclient_reads_the_fourth_output_where_the_model_has_it() -> None:
    pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]' brings it")
    import tritonclient.http

    pixels = np.stack([images.read(photo(seed), GEOMETRY) for seed in range(KNOWN + 4)])
    with running(PLAIN, careful()) as server:
        client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
        told = client.get_model_metadata("model")["outputs"]
        assert told[3:] == [{"name": "unknown", "datatype": "FP32", "shape": [-1]}]
        for binary in (True, False):
            asked = [tritonclient.http.InferRequestedOutput("unknown", binary_data=binary)]
            found = client.infer("model", [tensor(pixels, True)], outputs=asked).as_numpy("unknown")
            assert np.array_equal(found, careful().unknown(pixels))
            assert (found > 1).tolist() == [False] * KNOWN + [True] * 4
        assert client.infer("model", [tensor(pixels[:0], True)]).as_numpy("unknown").shape == (0,)
        client.close()


def test_tritonclient_hears_what_is_wrong(triton: Any) -> None:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="must be pixels, UINT8, shape"):
        triton.infer("model", [tensor(PIXELS[:, :3], True)])
    with pytest.raises(InferenceServerException, match="there is nothing here"):
        triton.infer("other", [tensor(PIXELS, True)])


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def by_hand(pixels: np.ndarray = PIXELS, **changes: object) -> dict[str, Any]:
    one = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    return {"inputs": [{key: value for key, value in (one | changes).items() if value is not ...}]}


def test_json_tensors_may_be_flat_or_nested(app: App) -> None:
    flat = ask(app, "POST", INFER, LOCAL, body(by_hand()))
    nested = ask(app, "POST", "/v2/models/model/versions/1/infer", LOCAL, body(by_hand(data=PIXELS.tolist())))
    assert flat.status == 200
    assert flat.body == nested.body
    outputs = {output["name"]: output for output in flat.json()["outputs"]}
    for name, expected in EXPECTED.items():
        assert outputs[name]["shape"] == list(expected.shape)
        assert np.array_equal(np.array(outputs[name]["data"], expected.dtype).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    "value",
    [
        [],
        3,
        {},
        {"inputs": {}},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": by_hand()["inputs"] * 2},
        by_hand(name="images"),
        by_hand(datatype="FP32"),
        by_hand(shape=[7, 4, 5]),
        by_hand(shape=[7, 5, 4, 3]),
        by_hand(shape=[-7, 4, 5, 3]),
        by_hand(shape=[True, 4, 5, 3]),
        by_hand(shape=[7.0, 4, 5, 3]),
        by_hand(shape=[1 << 70, 4, 5, 3]),
        by_hand(shape=[6, 4, 5, 3]),
        by_hand(data=...),
        by_hand(data="7"),
        by_hand(data=[0.5] * 420),
        by_hand(data=[256] * 420),
        by_hand(data=[-1] * 420),
        by_hand(data=[1 << 70] * 420),
        by_hand(data=[[1], [1, 2]]),
        by_hand(data=["a"] * 420),
        by_hand(data=[None] * 420),
        by_hand(parameters={"binary_data_size": 420}),
        by_hand(data=..., parameters={"binary_data_size": 420}),
        by_hand(data=..., parameters={"binary_data_size": -1}),
        by_hand(data=..., parameters=[1]),
        by_hand() | {"outputs": 3},
        by_hand() | {"outputs": [3]},
        by_hand() | {"outputs": [{"name": "logits"}]},
        by_hand() | {"outputs": [{"name": "label"}] * 2},
        by_hand() | {"outputs": [{"name": "label", "parameters": {"classification": 3}}]},
        by_hand() | {"parameters": 3},
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_requests_are_400_in_one_sentence(app: App, value: object) -> None:
    reply = ask(app, "POST", INFER, LOCAL, body(value))
    assert reply.status == 400, reply.body
    assert set(reply.json()) == {"error"}


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"nan", b"[" * 100_000, b"1" * 5000, b'{"inputs": NaN}'])
def test_what_is_no_json_is_400(app: App, text: bytes) -> None:
    assert ask(app, "POST", INFER, LOCAL, text).status == 400


def test_the_length_of_the_json_is_checked(app: App) -> None:
    good = body(by_hand(data=..., parameters={"binary_data_size": 420}))
    length = ("inference-header-content-length", str(len(good)))
    reply = ask(app, "POST", INFER, (*LOCAL, length), good + PIXELS.tobytes())
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    for wrong in ("-1", "x", "", str(len(good) + 421), "9" * 400, str(len(good) - 1)):
        header = ("inference-header-content-length", wrong)
        assert ask(app, "POST", INFER, (*LOCAL, header), good + PIXELS.tobytes()).status == 400
    for short in (PIXELS.tobytes()[:-1], PIXELS.tobytes() + b"x", b""):
        assert ask(app, "POST", INFER, (*LOCAL, length), good + short).status == 400


def test_too_many_images_and_too_much_json_are_413(app: App) -> None:
    many = np.zeros((65, *GEOMETRY.shape), np.uint8)
    assert ask(app, "POST", INFER, LOCAL, body(by_hand(many))).status == 413
    reply = ask(app, "POST", INFER, LOCAL, b" " * (5 << 20))
    assert reply.status == 413
    assert "binary tensors" in reply.json()["error"]


def test_images_of_one_request_share_the_lanes_and_come_back_in_order() -> None:
    many = np.random.default_rng(1).integers(0, 256, (60, *GEOMETRY.shape), dtype=np.uint8)
    with application(replace(TWO, name="garden"), CLASSIFIER) as (app, service):
        reply = ask(app, "POST", "/v2/models/garden/infer", LOCAL, body(by_hand(many)))
        assert service.lanes.batches == 8
    probabilities = np.array(reply.json()["outputs"][1]["data"], np.float32).reshape(60, 3)
    assert np.allclose(probabilities, CLASSIFIER.predict_proba(many), atol=1e-6)
