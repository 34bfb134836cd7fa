"""A server's life as a process: it starts when it is sound, ends without losing anybody, and says clearly why not."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attacks import file_of, sound, with_card
from kopal.classifier import Classifier
from kopal.errors import ServeError
from kopal.serve.server import Ready, Server
from serving import PLAIN, form, loaded_by, photo, process, running

Kopal = Callable[..., tuple[int, str, str]]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without asking them")
TYPE = {"Content-Type": "image/png"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    sound().save(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@contextlib.contextmanager
def connect(address: str) -> Iterator[http.client.HTTPConnection]:
    line = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        yield line
    finally:
        line.close()


def predict(line: http.client.HTTPConnection, data: bytes) -> tuple[int, bytes]:
    line.request("POST", "/v1/predict", data, TYPE)
    answer = line.getresponse()
    return answer.status, answer.read()


class Load(threading.Thread):
    """One client that asks again and again until it is turned away before its request is accepted."""

    def __init__(self, address: str, keep: bool) -> None:
        super().__init__(daemon=True)
        self.address, self.keep = address, keep
        self.answered, self.lost = 0, list[str]()

    def run(self) -> None:
        with connect(self.address) as line:
            self.ask(line)

    def ask(self, line: http.client.HTTPConnection) -> None:
        for seed in range(100_000):
            try:
                if line.sock is None:
                    line.connect()
            except OSError:
                return  # nobody listens any more: not accepted
            try:
                line.request(
                    "POST", "/v1/predict", photo(seed % 50), TYPE | ({} if self.keep else {"Connection": "close"})
                )
                answer = line.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                return
            if answer.status == 200:
                self.answered += 1
            elif answer.status != 503:
                self.lost.append(str(answer.status))


@posix
@pytest.mark.parametrize("repeat", range(3))
def test_sigterm_under_load_loses_no_accepted_request(model: Path, repeat: int) -> None:
    with process(model) as (server, address):
        clients = [Load(address, keep=number % 4 != 0) for number in range(8)]
        for client in clients:
            client.start()
        while sum(client.answered for client in clients) < 100 + 50 * repeat:
            time.sleep(0.01)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        drain(server)
        assert server.wait(10) == 0
        assert time.monotonic() - started < 10
        for client in clients:
            client.join(30)
        assert [client.lost for client in clients] == [[]] * 8


def drain(server: subprocess.Popen[str]) -> None:
    """Read the log on, so that the server never waits for its reader."""
    assert server.stdout is not None
    for _ in server.stdout:
        pass


def test_after_a_signal_it_is_not_ready_while_it_still_answers() -> None:
    with running(replace(PLAIN, notice_seconds=3)) as server, connect(server.url) as line:
        line.request("GET", "/v2/health/ready")
        assert json.loads(line.getresponse().read())["ready"] is True
        server.server.asked_to_stop(signal.SIGTERM, None)
        line.request("GET", "/v2/health/ready")
        answer = line.getresponse()
        assert answer.status == 503
        assert answer.getheader("connection") == "close"
        with connect(server.url) as other:
            assert predict(other, photo(1))[0] == 200


@posix
def test_a_second_ctrl_c_ends_it_at_once(model: Path) -> None:
    with process(model) as (server, address), connect(address) as line:
        line.putrequest("POST", "/v1/predict")
        line.putheader("Content-Type", "image/png")
        line.putheader("Content-Length", "1000")
        line.endheaders(b"x")  # a client that the drain would wait for
        server.send_signal(signal.SIGINT)
        assert server.stdout is not None
        while json.loads(server.stdout.readline())["event"] != "stopping":
            pass
        server.send_signal(signal.SIGINT)
        assert server.wait(5) == 130


@posix
def test_no_decoder_outlives_its_server_however_it_ends(model: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        with process(model, "--workers", "2") as (server, _):
            listed = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, text=True, check=False
            )
            children = [int(pid) for pid in listed.stdout.split()]
            if not children:
                pytest.skip("ps cannot list the children of a process")
            server.send_signal(number)
            server.wait(10)
            end = time.monotonic() + 10
            while any(alive(pid) for pid in children):
                assert time.monotonic() < end
                time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_another_file_in_the_models_place_does_not_disturb(model: Path) -> None:
    with process(model) as (_, address), connect(address) as line:
        before = predict(line, photo(1))
        sound(temperature=9.0).save(model)
        assert predict(line, photo(1)) == before
        model.write_bytes(b"garbage")
        assert predict(line, photo(1)) == before
        model.unlink()
        assert predict(line, photo(1)) == before


def test_the_log_is_json_lines_without_names_of_photos(model: Path) -> None:
    with process(model) as (server, address), connect(address) as line:
        (name, value), body = form([("secret.png", photo(1))])
        line.request("POST", "/v1/predict", body, {name: value, "X-Request-Id": "r-7"})
        assert line.getresponse().read()
        assert server.stdout is not None
        event = json.loads(server.stdout.readline())
        assert {key: event[key] for key in ("event", "id", "method", "path", "status", "photos")} == {
            "event": "request", "id": "r-7", "method": "POST", "path": "/v1/predict", "status": 200, "photos": 1,
        }  # fmt: skip
        assert "secret" not in json.dumps(event)


def test_a_log_that_nobody_reads_stops_nobody(model: Path) -> None:
    with process(model) as (server, address), connect(address) as line:
        assert server.stdout is not None
        server.stdout.close()
        for seed in range(5):
            assert predict(line, photo(seed))[0] == 200


def test_a_model_that_answers_otherwise_than_when_it_was_made_is_never_ready(kopal: Kopal, tmp_path: Path) -> None:
    def change(card: dict[str, object]) -> None:
        card["golden"]["scores"][0][0] += 1.0  # type: ignore[index]

    wrong = Classifier.from_bytes(with_card(file_of(sound()), change))
    wrong.save(tmp_path / "model.onnx")
    code, out, err = kopal("serve", tmp_path / "model.onnx", "--port", "0")
    assert code == 2
    assert "golden outputs differ" in err
    assert "ready" not in out


def test_a_port_that_is_taken_is_one_clear_message(kopal: Kopal, model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = kopal("serve", model, "--port", taken.getsockname()[1])
    assert code == 2
    assert "cannot listen at 127.0.0.1:" in err
    assert "--port" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "--no-auth"),
        (("--token", "short"), "16 or more"),
        (("--queue", "0"), "--queue 0"),
        (("--port", "99999"), "--port 99999"),
        (("--name", "a b"), "--name"),
    ],
)
def test_bad_options_end_with_one_message(kopal: Kopal, model: Path, options: tuple[str, ...], words: str) -> None:
    code, out, err = kopal("serve", model, *options)
    assert code == 2
    assert words in err
    assert "Traceback" not in err + out


def test_a_server_that_others_reach_without_a_token_says_so(model: Path) -> None:
    command = [sys.executable, "-m", "kopal", "serve", str(model), "--port", "0", "--host", "0.0.0.0", "--no-auth"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(3)]
        server.kill()
    assert "Ctrl-C" in said[0]
    assert "WITHOUT ANY TOKEN" in said[1]
    assert "ready after" in said[2]


def test_without_the_extra_the_command_names_what_to_install(model: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from kopal.cli import run\n"
        f"sys.exit(run(['serve', {str(model)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'kopal[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_warm_up_comes_before_ready_and_a_signal_before_it_ends_quietly() -> None:
    nouns: list[object] = []
    server = Server(sound(), PLAIN, nouns.append)
    server.asked_to_stop(signal.SIGTERM, None)
    import asyncio

    asyncio.run(server.serve())
    assert not any(isinstance(noun, Ready) for noun in nouns)


def test_lanes_that_do_not_come_up_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise ServeError("the decoder ended before it began")

    monkeypatch.setattr("kopal.serve.lanes.check_decoder", refuse)
    import asyncio

    with pytest.raises(ServeError, match="before it began"):
        asyncio.run(Server(sound(), PLAIN).serve())


def test_serve_reaches_no_training_library() -> None:
    loaded = loaded_by("import kopal.serve.server, kopal.serve.routes")
    assert not {"torch", "sklearn", "scipy", "matplotlib", "pydantic", "fastapi"} & loaded
    assert not {name for name in loaded if name.startswith(("kopal.fit", "kopal.pipeline", "kopal.features"))}
