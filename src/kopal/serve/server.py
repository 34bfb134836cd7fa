"""The life of a server: bind, warm up, serve, and end without losing what was accepted.

SIGTERM or Ctrl-C → not ready → requests are still taken for a moment, each answer closing its connection
→ no new connections → what is under way is answered → end, within 10 seconds. A second Ctrl-C ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from types import FrameType
from typing import final

from uvicorn.config import Config

from kopal.classifier import Classifier
from kopal.log import Log, Note, silent
from kopal.serve.app import App
from kopal.serve.connection import Connection, Doors
from kopal.serve.door import BACKLOG, keep_out, last_in, open_door
from kopal.serve.service import Service
from kopal.serve.settings import Settings

LARGEST_HEADERS = 16 << 10
INTERRUPTED = 130
PULSE = 0.02
HALF_MADE = 0.1
"""Seconds that a connection which has begun may take to be made."""


@dataclass(frozen=True)
class Listening:
    """The server takes connections at this address; it is not ready yet."""

    host: str
    port: int


@dataclass(frozen=True)
class Ready:
    """The golden outputs agree and the decoders are up, so many seconds after the start."""

    seconds: float


@dataclass(frozen=True)
class Stopping:
    """A signal has come: what is under way will be answered."""


def run(classifier: Classifier, settings: Settings, log: Log = silent) -> None:
    """Serve until a signal ends it. Raises `ServeError` (the port) and `ModelFileError` (the golden outputs)."""
    server = Server(classifier, settings, log)
    signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGBREAK] if hasattr(signal, "SIGBREAK") else [])]
    before = {number: signal.signal(number, server.asked_to_stop) for number in signals}
    try:
        asyncio.run(server.serve())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@final
class Server:
    """One model at one address."""

    def __init__(self, classifier: Classifier, settings: Settings, log: Log = silent) -> None:
        self._settings = settings
        self._log = log
        self._started = time.monotonic()
        self._service = Service(classifier, settings)
        self._doors = Doors(settings)
        self._stop = asyncio.Event()
        self._wake: Callable[[], object] = self._stop.set

    def asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        """The handler of signals."""
        if self._service.draining and number == signal.SIGINT:
            os._exit(INTERRUPTED)  # the decoders end with their input; threads in the middle of a net do not matter
        self._service.draining = True
        self._wake()

    async def serve(self) -> None:
        """From the first connection to the last."""
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(self._stop.set)
        config = self._config()
        door = open_door(self._settings.host.strip("[]"), self._settings.port)
        listener = await loop.create_server(lambda: self._connection(config), sock=door, backlog=BACKLOG)
        host, port, *_ = door.getsockname()
        self._log(Listening(host, port))
        date = asyncio.create_task(self._keep_date())
        try:
            if await self._warm():
                await self._stop.wait()
                await self._drain(listener, door, config)
        finally:
            date.cancel()
            listener.close()
            for connection in list(self._doors.connections):
                connection.transport.abort()
            await asyncio.to_thread(self._service.lanes.stop, 1.0)

    def _config(self) -> Config:
        # uvicorn's own words go through our log, so that there is one log with one form.
        logger = logging.getLogger("uvicorn.error")
        logger.handlers, logger.propagate = [_Words(self._log)], False
        logger.setLevel(logging.ERROR)
        config = Config(
            App(self._service, self._log),
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=round(self._settings.idle_seconds),
            h11_max_incomplete_event_size=LARGEST_HEADERS,
        )
        config.load()
        return config

    async def _warm(self) -> bool:
        """Whether it got warm before it was asked to stop. Raises what warming up raises."""
        warming = asyncio.ensure_future(asyncio.to_thread(self._service.warm_up))
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({warming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not warming.done():
            return False
        warming.result()
        self._log(Ready(time.monotonic() - self._started))
        return True

    def _connection(self, config: Config) -> Connection:
        return Connection(config, self._doors, {}, asyncio.get_running_loop())

    async def _drain(self, listener: asyncio.Server, door: socket.socket, config: Config) -> None:
        self._log(Stopping())
        until = time.monotonic() + self._settings.drain_seconds
        # Whoever watches our health needs a moment to send new work elsewhere; until then it is done here.
        await asyncio.sleep(self._settings.notice_seconds)
        keep_out(door)
        await asyncio.sleep(HALF_MADE)
        late = last_in(door)
        listener.close()
        for client in late:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._connection(config), client)
        quiet_at = time.monotonic() + 2 * self._settings.notice_seconds
        await asyncio.sleep(PULSE)
        while self._doors.connections and time.monotonic() < until:
            if time.monotonic() > quiet_at:
                for connection in list(self._doors.connections):
                    if isinstance(connection, Connection) and connection.resting:
                        connection.shutdown()
            await asyncio.sleep(PULSE)

    async def _keep_date(self) -> None:
        while True:
            self._doors.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)


class _Words(logging.Handler):
    """uvicorn's errors as notes."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log(Note(f"error: {record.getMessage().strip()}"))
