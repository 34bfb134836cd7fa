"""The line and the lanes: nobody is mixed up or forgotten, a full line says so, and a dead decoder is replaced."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks import GEOMETRY, sound
from kopal import images
from kopal.errors import ServeError, UnreadableImage
from kopal.serve.decoder import REQUEST, serve
from kopal.serve.decoding import Decoder
from kopal.serve.lanes import Lanes, check_decoder
from kopal.serve.line import Line, Photo
from serving import JPEG, PLAIN, TWO, Held, application, ask, loaded_by, photo

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals to stop and go on")


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@given(st.lists(st.sampled_from(["join", "leave", "take"]), max_size=40), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_line_is_first_come_first_served_and_never_longer_than_its_places(steps: list[str], places: int) -> None:
    line, model = Line(places), list[Photo]()
    for number, step in enumerate(steps):
        if step == "join":
            job = Photo(bytes([number]), 1)
            assert line.join([job]) == (len(model) < places)
            model = [*model, job][:places]
        elif step == "leave" and model:
            line.leave([model.pop(len(model) // 2)])
        elif step == "take" and model:
            taken = line.take(2, 0)
            assert taken == model[:2]
            model = model[2:]
        assert len(line) == len(model) <= places


def test_all_of_a_request_find_a_place_or_none_does() -> None:
    line = Line(3)
    assert line.join([Photo(b"", 1), Photo(b"", 1)])
    assert not line.join([Photo(b"", 1), Photo(b"", 1)])
    assert len(line) == 2


def test_whoever_has_gone_is_not_taken_and_a_closed_line_is_emptied_first() -> None:
    line = Line(4)
    gone, here = Photo(b"1", 1), Photo(b"2", 1)
    line.join([gone, here])
    assert gone.answer.cancel()
    line.close()
    assert not line.join([Photo(b"", 1)])
    assert line.take(4, 0) == [here]
    assert line.take(4, 0) == []


def test_a_lane_that_waits_for_a_batch_takes_it_when_it_is_full() -> None:
    line = Line(8)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(line.take, 3, 60)
        for number in range(3):
            line.join([Photo(bytes([number]), 1)])
        assert [job.data for job in taken.result(30) if isinstance(job, Photo)] == [b"\0", b"\1", b"\2"]


def test_jobs_left_behind_by_a_batch_wake_another_lane() -> None:
    line = Line(8)
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(line.take, 2, 0.05) for _ in range(2)]
        line.join([Photo(b"", 1)])
        line.join([Photo(b"", 1), Photo(b"", 1)])
        assert sum(len(one.result(30)) for one in taken) == 3


@pytest.mark.parametrize("most", [1, 5])
def test_many_photos_at_once_are_never_mixed_up(most: int) -> None:
    classifier = sound()
    line = Line(2000)
    lanes = Lanes(classifier, line, replace(TWO, max_batch=most, max_wait_ms=1))
    lanes.start()
    photos = [photo(seed) for seed in range(1000)]
    pixels = np.stack([images.read(data, GEOMETRY) for data in photos])
    expected = classifier.predict_proba(pixels)
    jobs = [Photo(data, 3) for data in photos]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda job: line.join([job]), jobs))
    for job, row in zip(jobs, expected, strict=True):
        answer = dict(job.answer.result(60).top)
        assert np.allclose([answer[name] for name in classifier.classes], row, atol=1e-5)
    lanes.stop(5)
    assert lanes.photos == 1000
    assert 1000 / most <= lanes.batches <= 1000


def test_stopping_answers_what_stands_in_line() -> None:
    held = Held()
    line = Line(50)
    lanes = Lanes(held, line, PLAIN)  # type: ignore[arg-type]
    lanes.start()
    jobs = [Photo(photo(seed), 1) for seed in range(20)]
    line.join(jobs)
    assert held.reached.acquire(timeout=30)
    threading.Timer(0.05, held.go.set).start()
    lanes.stop(30)
    assert all(job.answer.done() for job in jobs)
    assert lanes.decoders == []


def test_a_decoder_gives_the_pixels_and_reasons_that_this_process_gives() -> None:
    decoder = Decoder(GEOMETRY, 30)
    check_decoder(decoder, GEOMETRY)
    for seed in range(5):
        data = photo(seed, "JPEG", (50, 40))
        assert np.array_equal(decoder.read(data), images.read(data, GEOMETRY))
    with pytest.raises(UnreadableImage, match="not a JPEG") as caught:
        decoder.read(b"words")
    assert caught.value.kind == "not-an-image"
    assert decoder.deaths == 0
    decoder.close()
    assert decoder.pid is None
    with pytest.raises(ServeError, match="ending"):
        decoder.read(photo(1))
    assert decoder.pid is None


def test_a_decoder_that_gives_other_pixels_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(GEOMETRY, 30)
    monkeypatch.setattr(Decoder, "read", lambda self, data: images.read(data, GEOMETRY) ^ 1)
    with pytest.raises(ServeError, match="other pixels"):
        check_decoder(decoder, GEOMETRY)
    decoder.close()


def test_a_decoder_that_cannot_start_says_how_to_see_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kopal.serve.decoding.ATTEMPTS", 1)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(ServeError, match="shows why"):
        Decoder(GEOMETRY, 30).start()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ServeError, match="cannot be started"):
        Decoder(GEOMETRY, 30).start()


def in_the_middle_of(decoder: Decoder, data: bytes, then: Callable[[int], None]) -> Future[Any]:
    """A photo whose decoder is stopped, so that it is under way when `then` is done to the process."""
    pid = decoder.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(decoder.read, data)
        until(lambda: decoder._until != float("inf"))
        then(pid)
        asked.exception(30)
    return asked


@posix
def test_a_photo_that_kills_its_decoder_is_unreadable_and_the_next_is_answered() -> None:
    decoder = Decoder(GEOMETRY, 60)
    decoder.start()
    error = in_the_middle_of(decoder, photo(1), lambda pid: os.kill(pid, signal.SIGKILL)).exception()
    assert isinstance(error, UnreadableImage)
    assert error.happened == "the decoder did not survive it"
    assert decoder.deaths == 1
    assert np.array_equal(decoder.read(photo(1)), images.read(photo(1), GEOMETRY))
    decoder.close()


@posix
def test_a_photo_that_takes_too_long_is_unreadable_and_the_next_is_answered() -> None:
    decoder = Decoder(GEOMETRY, 60)
    decoder.start()
    decoder.end_if_late(time.monotonic() + 1000)  # idle, so not late
    error = in_the_middle_of(decoder, photo(1), lambda pid: decoder.end_if_late(time.monotonic() + 61)).exception()
    assert isinstance(error, UnreadableImage)
    assert error.happened == "not decoded within 60 seconds"
    assert np.array_equal(decoder.read(photo(1)), images.read(photo(1), GEOMETRY))
    decoder.close()


@posix
def test_a_decoder_that_died_idle_costs_no_photo() -> None:
    decoder = Decoder(GEOMETRY, 60)
    decoder.start()
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGKILL)
    process = decoder._process
    assert process is not None
    process.wait(30)
    assert np.array_equal(decoder.read(photo(1)), images.read(photo(1), GEOMETRY))
    assert decoder.deaths == 0
    decoder.close()


@posix
def test_the_servers_answer_to_a_death_is_422_and_metrics_tell() -> None:
    with application(replace(PLAIN, workers=1)) as (app, service):
        (pid,) = service.lanes.decoders
        decoder = service.lanes._lanes[0].decoder
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, app, "POST", "/v1/predict", JPEG, photo(1))
            until(lambda: decoder._until != float("inf"))
            os.kill(pid, signal.SIGKILL)
            reply = asked.result(30)
        assert reply.status == 422
        assert "did not survive" in reply.json()["error"]
        assert ask(app, "POST", "/v1/predict", JPEG, photo(1)).status == 200
        assert b"kopal_decoder_deaths_total 1.0" in ask(app, "GET", "/metrics").body


@posix
def test_a_decoder_ignores_the_signals_that_stop_a_server_and_ends_with_its_input() -> None:
    decoder = Decoder(GEOMETRY, 60)
    decoder.start()
    process = decoder._process
    assert process is not None
    assert process.stdin is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    assert np.array_equal(decoder.read(photo(1)), images.read(photo(1), GEOMETRY))
    process.stdin.close()
    assert process.wait(30) == 0
    decoder.close()


def test_what_the_decoder_writes_is_its_protocol_and_nothing_else() -> None:
    source = io.BytesIO(b"".join(REQUEST.pack(len(data)) + data for data in (photo(1), b"words")))
    sink = io.BytesIO()
    serve(source, sink, '{"height": 4, "width": 5}')
    pixels = images.read(photo(1), GEOMETRY).tobytes()
    assert sink.getvalue().startswith(b"K\x00" + REQUEST.pack(len(pixels)) + pixels + b"\x01")
    assert sink.getvalue().endswith(b"by its content")


def test_the_decoder_process_loads_neither_the_runtime_nor_the_web_server() -> None:
    loaded = loaded_by("import kopal.serve.decoder")
    assert not {"onnx", "onnxruntime", "uvicorn", "prometheus_client", "asyncio"} & loaded
