"""Claim: no attack of four kinds ends, sways or locks a server, and no SIGTERM loses an accepted request.

    python benchmarks/serve_attacks.py [--share 1.0]        needs the extra [test]; a share of 0.1 is a tenth of each

The long forms of tests/test_serve_*.py, on a small linear classifier: 10 000 mutated photos and requests; 10 000
distinct photos at once, none mixed up; 200 slow clients beside a good one; 50 SIGTERMs under load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from attacks import GEOMETRY, sound
from clients import Line, connect, quantile, request
from header import print_header
from kopal import images
from photo_bytes import samples
from serving import PLAIN, photo, process, read_all, running
from test_serve_hostile import HEAD, mutated
from test_serve_life import Load, drain

CLASSIFIER = sound()
SLOW = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only-sigterms", action="store_true")
    options = parser.parse_args()
    share = options.share
    print_header(__doc__.splitlines()[0])
    if options.only_sigterms:
        sigterms(int(50 * share))
        return
    with running(PLAIN, CLASSIFIER) as server:
        before = asyncio.run(alone(server.port, photo(1)))
        photos(server.port, int(8000 * share))
        requests(server.port, int(2000 * share))
        same = asyncio.run(alone(server.port, photo(1))) == before
        print(f"  the next good request bit-equal: {same}; decoders that died: {server.service.lanes.deaths}")
        mixed(server.port, int(10_000 * share))
    with running(PLAIN, CLASSIFIER) as server:
        asyncio.run(slow(server.port))
    sigterms(int(50 * share))


def photos(port: int, count: int) -> None:
    """Mutated pictures of every format."""
    files = list(samples().values())

    async def attack() -> dict[int, int]:
        seen: dict[int, int] = {}
        line = await connect(port)
        for seed in range(count):
            status, _ = await line.ask(request(mutated(seed, files[seed % len(files)])))
            seen[status] = seen.get(status, 0) + 1
        close(line)
        return seen

    print(f"  {count} mutated photos: statuses {asyncio.run(attack())}")


def requests(port: int, count: int) -> None:
    """Mutated requests, each on a connection of its own."""
    good = HEAD + f"Content-Length: {len(photo(1))}\r\n\r\n".encode() + photo(1)
    seen: dict[int, int] = {}
    for seed in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            with contextlib.suppress(OSError):
                line.sendall(mutated(seed, good))
                line.shutdown(socket.SHUT_WR)
            answer = read_all(line)
        status = int(answer[9:12]) if answer else 0
        seen[status] = seen.get(status, 0) + 1
    print(f"  {count} mutated requests: statuses {seen} (0: closed without an answer)")


def mixed(port: int, count: int) -> None:
    """Distinct photos over 64 connections: each answer must be that of its photo."""
    made = [photo(seed) for seed in range(count)]
    expected = CLASSIFIER.predict_proba(np.stack([images.read(data, GEOMETRY) for data in made])).max(axis=1)
    wrong = 0

    async def client(first: int) -> None:
        nonlocal wrong
        line = await connect(port)
        for number in range(first, count, 64):
            status, body = await line.ask(request(made[number]))
            right = status == 200 and abs(json.loads(body)["probability"] - expected[number]) < 1e-5
            wrong += not right
        close(line)

    async def everybody() -> None:
        await asyncio.gather(*(client(first) for first in range(64)))

    asyncio.run(everybody())
    print(f"  {count} distinct photos over 64 connections: {wrong} mixed up")


async def slow(port: int) -> None:
    """Clients that send a byte a second, beside one that behaves."""
    idle = await pace(port, 300)
    closed: list[float] = []

    async def dawdle(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = time.perf_counter()
        writer.write(HEAD if number % 2 else HEAD + b"Content-Length: 100000\r\n\r\n")
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait({ended}, timeout=1)
        closed.append(time.perf_counter() - started)
        writer.close()

    dawdlers = [asyncio.create_task(dawdle(number)) for number in range(SLOW)]
    await asyncio.sleep(1)
    beside = await pace(port, 300)
    await asyncio.gather(*dawdlers)
    print(f"  {SLOW} slow clients: closed after {min(closed):.1f} to {max(closed):.1f} s;", end=" ")
    print(f"a good client's p99 {1000 * beside:.1f} ms, {1000 * idle:.1f} ms without them")


async def pace(port: int, count: int) -> float:
    """The p99 of a client that asks again and again."""
    line = await connect(port)
    seconds = []
    for seed in range(count):
        started = time.perf_counter()
        await line.ask(request(photo(seed)))
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)
    close(line)
    return quantile(seconds, 0.99)


async def alone(port: int, data: bytes) -> bytes:
    line = await connect(port)
    _, body = await line.ask(request(data))
    close(line)
    return body


def close(line: Line) -> None:
    assert line.transport is not None
    line.transport.close()


def sigterms(count: int) -> None:
    """Eight clients, two of which open a connection for every request; a lost one is a request without its answer."""
    lost, answered, seconds, codes = [], 0, [], set()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        CLASSIFIER.save(model)
        for _ in range(count):
            with process(model) as (server, address):
                clients = [Load(address, keep=number % 4 != 0) for number in range(8)]
                for client in clients:
                    client.start()
                while sum(client.answered for client in clients) < 100:
                    time.sleep(0.01)
                started = time.perf_counter()
                server.send_signal(signal.SIGTERM)
                drain(server)
                codes.add(server.wait(15))
                seconds.append(time.perf_counter() - started)
                for client in clients:
                    client.join(30)
                    lost += client.lost
                    answered += client.answered
    print(f"  {count} SIGTERMs under load: {answered} answered, {len(lost)} lost {lost[:3]};", end=" ")
    print(f"ended after {statistics.median(seconds):.1f} s (at most {max(seconds):.1f}), codes {codes}")


if __name__ == "__main__":
    main()
