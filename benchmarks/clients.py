"""Clients for the benchmarks of kopal serve: many connections in one thread, light enough to share the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


def request(photo: bytes, path: str = "/v1/predict", content_type: str = "image/jpeg") -> bytes:
    """A whole request for one photo."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(photo)}\r\n\r\n".encode() + photo


@dataclass
class Seen:
    """Seconds from when a request was due to its answer, by status; 0 stands for a lost connection."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)

    def count(self, status: int) -> int:
        return len(self.seconds.get(status, ()))


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Line(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.open = True
        self._got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._end(0, b"")

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._got[:end]).lower()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._got) >= end + 4 + size:
            body = bytes(self._got[end + 4 :])
            self._got.clear()
            if b"connection: close" in head:
                self.open = False
            self._end(int(head.split(b" ", 2)[1]), body)

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 when the connection ends without an answer."""
        assert self.transport is not None
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self.waiting

    def _end(self, status: int, body: bytes) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result((status, body))


async def connect(port: int) -> Line:
    _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port)
    return line


async def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[Seen, float]:
    """So many clients, each asking again as soon as it is answered → what they saw, answers a second."""
    seen = Seen()
    end = time.perf_counter() + seconds

    async def client(first: int) -> None:
        line = await connect(port)
        number = first
        while (due := time.perf_counter()) < end:
            status, _ = await line.ask(requests[number % len(requests)])
            seen.add(status, time.perf_counter() - due)
            number += clients
        assert line.transport is not None
        line.transport.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(first) for first in range(clients)))
    return seen, seen.count(200) / (time.perf_counter() - started)


async def open_loop(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> tuple[Seen, float]:
    """A request every 1 / rate seconds, whether or not the last was answered → what they saw, good answers a second."""
    seen = Seen()
    free: list[Line] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int, due: float) -> None:
        while free and not free[-1].open:
            free.pop()
        try:
            line = free.pop() if free else await connect(port)
        except OSError:
            seen.add(0, time.perf_counter() - due)
            return
        status, _ = await line.ask(requests[number % len(requests)])
        seen.add(status, time.perf_counter() - due)
        if line.open:
            free.append(line)

    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    took = time.perf_counter() - started
    good = seen.count(200)
    if under_way:
        await asyncio.wait(under_way, timeout=30)
    for line in free:
        if line.transport is not None:
            line.transport.close()
    return seen, good / took
