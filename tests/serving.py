# ruff: noqa: E402 - what is not installed is skipped before anything is imported
"""Servers for the tests: an application without sockets, a server in a thread, and `kopal serve` as a process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

for needed in ("uvicorn", "h11", "python_multipart", "prometheus_client"):
    pytest.importorskip(needed, reason="pip install 'kopal[serve]' brings it")

from attacks import sound
from kopal.classifier import Classifier
from kopal.prediction import Prediction
from kopal.serve import Settings
from kopal.serve.app import App
from kopal.serve.server import Listening, Ready, Server
from kopal.serve.service import Service

PLAIN = replace(Settings(), port=0, workers=1)
TWO = replace(PLAIN, workers=2)
LOCAL = (("host", "localhost:8000"),)
JPEG = (*LOCAL, ("content-type", "image/jpeg"))


def photo(seed: int, kind: str = "PNG", size: tuple[int, int] = (5, 4)) -> bytes:
    """A small picture of noise, another one for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def form(files: Sequence[tuple[str, bytes]], boundary: str = "limit") -> tuple[tuple[str, str], bytes]:
    """Names and photos → the Content-Type header and the body of a form."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename='
    body = b"".join(f'{head}"{name}"\r\n\r\n'.encode() + data + b"\r\n" for name, data in files)
    return ("content-type", f"multipart/form-data; boundary={boundary}"), body + f"--{boundary}--\r\n".encode()


@dataclass
class Reply:
    """What came back from the application."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    app: App,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str]] = LOCAL,
    body: bytes = b"",
    pieces: Sequence[bytes] | None = None,
    query: str = "",
) -> Reply:
    """One exchange without a socket; the client stays until it has its answer."""
    sent = list(pieces if pieces is not None else [body])
    reply = Reply()

    async def exchange() -> None:
        answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if sent:
                piece = sent.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(sent)}
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                reply.body += message["body"]
                answered.set()

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 4242),
        }
        await app(scope, receive, send)

    asyncio.run(exchange())
    return reply


@contextlib.contextmanager
def application(
    settings: Settings = PLAIN, classifier: Classifier | None = None, log: Any = None
) -> Iterator[tuple[App, Service]]:
    """A warm application without a socket."""
    service = Service(classifier or sound(), settings)
    service.warm_up()
    try:
        yield App(service, log or (lambda noun: None)), service
    finally:
        service.lanes.stop(5)


@dataclass
class Running:
    """A server that listens, in a thread of this process."""

    port: int
    server: Server
    nouns: list[object]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def service(self) -> Service:
        return self.server._service

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, data: bytes) -> bytes:
        """Bytes there, all bytes back until the server closes."""
        with self.connect() as line:
            line.sendall(data)
            return read_all(line)


@contextlib.contextmanager
def running(settings: Settings = PLAIN, classifier: Classifier | None = None) -> Iterator[Running]:
    """A ready server in a thread."""
    heard: queue.Queue[object] = queue.Queue()
    nouns: list[object] = []

    def log(noun: object) -> None:
        nouns.append(noun)
        heard.put(noun)

    server = Server(classifier or sound(), settings, log)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    port = 0
    while not isinstance(noun := heard.get(timeout=60), Ready):
        if isinstance(noun, Listening):
            port = noun.port
    try:
        yield Running(port, server, nouns)
    finally:
        server.asked_to_stop(signal.SIGTERM, None)
        thread.join(30)
        assert not thread.is_alive()


@contextlib.contextmanager
def process(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`kopal serve` as a process of its own, ready → it and its address."""
    command = [sys.executable, "-m", "kopal", "serve", str(model), "--port", "0", "--log-json", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield server, ready_address(server)
    finally:
        server.kill()
        server.wait()
        for stream in (server.stdout, server.stderr):
            if stream is not None:
                stream.close()


def ready_address(server: subprocess.Popen[str]) -> str:
    """Read the log until the server is ready → its address."""
    address = ""
    assert server.stdout is not None
    for line in server.stdout:
        event = json.loads(line)
        address = event.get("address", address)
        if event["event"] == "ready":
            return address
    raise AssertionError(server.stderr.read() if server.stderr else "")


def read_all(line: socket.socket) -> bytes:
    """What comes until the other side closes, in whatever way."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := line.recv(65536):
            answer += piece
    return answer


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    code = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


class Held:
    """A classifier that answers nothing until it is let go."""

    def __init__(self, classifier: Classifier | None = None) -> None:
        self._classifier = classifier or sound()
        self.go = threading.Event()
        self.reached = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def answers(self, pixels: np.ndarray, top: int = 5) -> list[Prediction]:
        self.reached.release()
        assert self.go.wait(60)
        return self._classifier.answers(pixels, top)
