"""POST /v1/explain: the library's maps through the line, its limits and its deadline; nobody waits behind a map."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from attacks import CLASSES, sound
from careful import careful
from described import fits
from kopal import images
from kopal.attribution import Attribution, Attributor
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.fit.engine import start
from kopal.images import Geometry
from kopal.model_file import Card
from kopal.nets.resnet9 import resnet9
from kopal.serve.app import App
from kopal.serve.line import Line, Photo, Why
from kopal.serve.why import MOST_PLACES, rows
from serving import JPEG, LOCAL, PLAIN, TWO, application, ask, form, photo, running

COVERS = careful()
"""A linear net over pixels has no planes: its maps are made by covers."""


def pooled() -> Classifier:
    """A net whose maps are exact, of photos that it crops."""
    net = resnet9(4, 3, (32, 24, 3))
    weights = start(net, np.random.default_rng(0), "he")
    card = Card(net.name, CLASSES, Geometry(32, 24, 3, 0.9), 1.0)
    return Classifier.build(classifier_model(net, weights, 1.0, 3), card)


@pytest.fixture(scope="module", params=[pooled, careful], ids=["planes", "covers"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[App, Classifier]]:
    classifier = request.param()
    with application(classifier=classifier) as (app, _):
        yield app, classifier


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with application(classifier=COVERS) as (made, _):
        yield made


def why(app: App, data: bytes, query: str = "") -> Any:
    reply = ask(app, "POST", "/v1/explain", JPEG, data, query=query)
    assert reply.status == 200, reply.body
    return reply.json()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_map_is_the_librarys_for_the_class_that_wins(both: tuple[App, Classifier]) -> None:
    app, classifier = both
    data = photo(1, "PNG", (50, 40))
    pixels = images.read(data, classifier.geometry)
    (answer,) = classifier.answers(pixels[None])
    expected = Attributor(classifier).map(pixels, classifier.classes.index(answer.label))
    found = why(app, data)
    assert np.allclose(found["map"], expected.worth, rtol=1e-5, atol=1e-6)
    assert (found["label"], found["explained"]) == (answer.label, answer.label)
    assert found["probability"] == pytest.approx(answer.probability, abs=1e-6)
    assert (found["method"], found["in_words"]) == (expected.method, expected.in_words())
    assert found["seen"] == {
        "width": classifier.geometry.width, "height": classifier.geometry.height, "crop": classifier.geometry.crop,
    }  # fmt: skip
    assert found["digest"] == classifier.digest


def test_any_class_can_be_asked_for_and_the_answer_stays(both: tuple[App, Classifier]) -> None:
    app, classifier = both
    pixels = images.read(photo(3), classifier.geometry)
    for label, name in enumerate(classifier.classes):
        found = why(app, photo(3), f"class={quote(name)}")
        assert found["explained"] == name
        assert found["label"] == classifier.predict(pixels[None])[0]
        assert np.allclose(found["map"], Attributor(classifier).map(pixels, label).worth, rtol=1e-5, atol=1e-6)


def test_it_is_as_the_openapi_document_describes_it(both: tuple[App, Classifier]) -> None:
    app, _ = both
    document = ask(app, "GET", "/openapi.json").json()
    named = document["components"]["schemas"]
    operation = document["paths"]["/v1/explain"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    found = why(app, photo(1))
    assert fits(found, schema, named)
    for harm in ({"map": []}, {"map": [["1"]]}, {"method": "guess"}, {"seen": {}}, {"probability": 2}):
        assert not fits(found | harm, schema, named)
    assert {"400", "413", "415", "422", "503", "504"} <= operation["responses"].keys()


@pytest.mark.parametrize("query", ["class=horse", "class=", "class=pes&class=pes", "top=1", "class=%ff", "url=a"])
def test_a_class_that_is_not_there_is_400(app: App, query: str) -> None:
    reply = ask(app, "POST", "/v1/explain", JPEG, photo(1), query=query)
    assert reply.status == 400
    assert set(reply.json()) == {"error"}


def test_what_is_no_single_photo_is_refused_as_everywhere(app: App) -> None:
    header, body = form([("a.png", photo(1))])
    assert ask(app, "POST", "/v1/explain", (*LOCAL, header), body).status == 415
    assert ask(app, "POST", "/v1/explain", (*LOCAL, ("content-type", "text/plain")), photo(1)).status == 415
    reply = ask(app, "POST", "/v1/explain", JPEG, b"no picture")
    assert reply.status == 422
    assert "not a JPEG" in reply.json()["error"]
    assert ask(app, "GET", "/v1/explain").status == 405
    elsewhere = (*JPEG, ("origin", "http://evil.example"))
    assert ask(app, "POST", "/v1/explain", elsewhere, photo(1)).status == 403


def test_body_line_and_token_are_limits_here_too() -> None:
    with application(replace(PLAIN, max_body=1000, token="correct-horse-battery"), COVERS) as (app, service):
        assert ask(app, "POST", "/v1/explain", JPEG, photo(1)).status == 401
        knows = (*JPEG, ("authorization", "Bearer correct-horse-battery"))
        assert ask(app, "POST", "/v1/explain", knows, b"x" * 1001).status == 413
        service.line.places = 0
        reply = ask(app, "POST", "/v1/explain", knows, photo(1))
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) >= 1


def test_metrics_count_maps(app: App) -> None:
    def maps() -> float:
        (line,) = [
            row for row in ask(app, "GET", "/metrics").body.decode().splitlines() if row.startswith("kopal_maps")
        ]
        return float(line.split()[1])

    before = maps()
    why(app, photo(1))
    assert maps() == before + 1


class Paused:
    """A classifier by covers that stops at the first cover until it is let go; what it answers does not stop."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.pieces = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(COVERS, name)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        if len(pixels) == 1:
            self.pieces += 1
            self.reached.set()
            assert self.go.wait(60)
        return COVERS.scores(pixels)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers come one at a time, as for nets of photos, not all at once as for tiny pictures."""
    monkeypatch.setattr("kopal.attribution.images_per_run", lambda geometry: 1)


def head(path: str, data: bytes) -> bytes:
    lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nConnection: close\r\n"
    return f"{lines}Content-Length: {len(data)}\r\n\r\n".encode() + data


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.usefixtures("one_by_one")
def test_past_the_deadline_it_is_504_and_the_lane_stops() -> None:
    paused = Paused()
    with running(replace(PLAIN, deadline=0.3), paused) as server:  # type: ignore[arg-type]
        assert status_of(server.raw(head("/v1/explain", photo(1)))) == 504
        assert paused.reached.is_set()
        paused.go.set()
        until(lambda: status_of(server.raw(head("/v1/predict", photo(1)))) == 200)
        assert paused.pieces == 1
        assert server.service.lanes.maps == 0
        assert status_of(server.raw(head("/v1/explain", photo(1)))) in {200, 504}


@pytest.mark.usefixtures("one_by_one")
def test_a_client_that_leaves_stops_its_map() -> None:
    paused = Paused()
    with running(PLAIN, paused) as server:  # type: ignore[arg-type]
        line = server.connect()
        line.sendall(head("/v1/explain", photo(1)))
        assert paused.reached.wait(30)
        line.close()
        until(lambda: not server.server._doors.connections)
        until(lambda: any(getattr(noun, "status", 0) == 499 for noun in server.nouns))
        paused.go.set()
        assert status_of(server.raw(head("/v1/predict", photo(1)))) == 200
        assert paused.pieces == 1


@pytest.mark.usefixtures("one_by_one")
def test_photos_are_answered_between_the_covers_of_a_map() -> None:
    paused = Paused()
    with running(PLAIN, paused) as server, ThreadPoolExecutor(9) as pool:  # type: ignore[arg-type]
        explained = pool.submit(server.raw, head("/v1/explain", photo(1)))
        assert paused.reached.wait(30)
        waiting = [pool.submit(server.raw, head("/v1/predict", photo(seed))) for seed in range(6)]
        until(lambda: len(server.service.line) == 6)
        paused.go.set()
        assert [status_of(one.result(30)) for one in waiting] == [200] * 6
        answer = explained.result(30)
        assert status_of(answer) == 200
        pixels = images.read(photo(1), COVERS.geometry)
        label = COVERS.classes.index(COVERS.predict(pixels[None])[0])
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert np.allclose(found["map"], Attributor(COVERS).map(pixels, label).worth, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("one_by_one")
def test_while_one_lane_is_at_a_map_the_other_answers() -> None:
    paused = Paused()
    with running(TWO, paused) as server, ThreadPoolExecutor(1) as pool:  # type: ignore[arg-type]
        explained = pool.submit(server.raw, head("/v1/explain", photo(1)))
        assert paused.reached.wait(30)
        for seed in range(5):
            assert status_of(server.raw(head("/v1/predict", photo(seed)))) == 200
        assert not explained.done()
        paused.go.set()
        assert status_of(explained.result(30)) == 200


def test_a_lane_takes_one_long_job_at_a_time_and_spares_no_other() -> None:
    line = Line(9)
    photos, maps = [Photo(b"", 1) for _ in range(3)], [Why(b"", None) for _ in range(2)]
    line.join([photos[0], maps[0], photos[1], maps[1], photos[2]])
    assert line.take(9, 0) == [photos[0], maps[0]]
    assert line.spare(1) == [photos[1]]
    assert line.spare(9) == [photos[2]]
    assert line.spare(9) == []
    assert line.take(9, 0) == [maps[1]]
    line.leave([maps[1]])
    assert not maps[1].wanted


def test_a_large_map_is_sent_small_and_its_mean_stays() -> None:
    worth = np.random.default_rng(0).normal(size=(224, 96)).astype(np.float32)
    found = np.array(rows(Attribution(worth, "occlusion")))
    assert found.shape == (MOST_PLACES, MOST_PLACES)
    assert np.allclose(found, worth.reshape(32, 7, 32, 3).mean(axis=(1, 3)), atol=1e-5)
    small = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert rows(Attribution(small, "class activation map")) == small.tolist()


def test_maps_of_many_at_once_are_never_mixed_up() -> None:
    classifier = sound()
    with running(TWO, classifier) as server, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: server.raw(head("/v1/explain", photo(seed))), range(24)))
    for seed, answer in enumerate(found):
        pixels = images.read(photo(seed), classifier.geometry)
        label = classifier.classes.index(classifier.predict(pixels[None])[0])
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert np.allclose(told["map"], Attributor(classifier).map(pixels, label).worth, rtol=1e-4, atol=1e-5)
