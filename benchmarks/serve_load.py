"""Claim: kopal serve loses little on the offline pipeline, and overload costs those who are refused, not those served.

    python benchmarks/serve_load.py model.onnx path/to/photos [--seconds 30] [--plain python-with-torch-and-fastapi]

Clients and server share the machine. Throughput: 16 clients that ask again as soon as they are answered. Half load and
four times overload: requests at fixed times, whether or not the last was answered; latency counts from when a request
was due. Memory is the sum of proportional set sizes of the server and its decoders (Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients import Seen, closed_loop, connect, open_loop, quantile, request
from header import once, print_header
from kopal.classifier import load

CLIENTS = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--most", type=int, default=400)
    parser.add_argument("--plain")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    paths = sorted(path for path in Path(options.photos).rglob("*") if path.is_file())
    paths = paths[:: max(1, len(paths) // options.most)][: options.most]
    requests = [request(path.read_bytes()) for path in paths]
    print(f"  {len(paths)} photos, {statistics.mean(map(len, requests)) / 1000:.0f} kB each")
    offline = [rate_offline(options.model, paths)]
    with kopal(options.model) as (port, pid, ready):
        print(f"  start to ready {ready:.2f} s (whole process)")
        rates = []
        for _ in range(3):
            rates.append(asyncio.run(closed_loop(port, requests, CLIENTS, options.seconds / 4))[1])
            offline.append(rate_offline(options.model, paths))
        peak, bound = statistics.median(rates), statistics.median(offline)
        print(f"  offline {spread(offline)} photos/s; served {spread(rates)}: {peak / bound:.2f} of it")
        single = asyncio.run(one_by_one(port, requests))
        print(f"  one photo alone {1000 * single:.1f} ms (median of 100)")
        half, _ = asyncio.run(open_loop(port, requests, peak / 2, options.seconds / 2))
        tail = quantile(half.seconds[200], 0.99)
        print(f"  half load: p50 {1000 * quantile(half.seconds[200], 0.5):.1f} ms, p99 {1000 * tail:.1f} ms", end="")
        print(f" = {tail / single:.1f} times one photo alone; statuses {statuses(half)}")
        overload(port, pid, requests, peak, options.seconds)
    if options.plain:
        with plain(options.plain) as port:
            forms = [form(path.read_bytes()) for path in paths]
            asyncio.run(closed_loop(port, forms, 2, 3))
            _, rate = asyncio.run(closed_loop(port, forms, CLIENTS, options.seconds / 2))
        print(f"  FastAPI and eager PyTorch: {rate:.0f} photos/s; kopal {peak / rate:.1f} times")


def overload(port: int, pid: int, requests: list[bytes], peak: float, seconds: float) -> None:
    before = memory(pid)
    most, ended = [before], threading.Event()
    watch = threading.Thread(target=lambda: [most.append(memory(pid)) for _ in iter(lambda: ended.wait(1), True)])
    watch.start()
    seen, good = asyncio.run(open_loop(port, requests, 4 * peak, seconds))
    ended.set()
    watch.join()
    refused = seen.seconds.get(503, [0.0])
    print(f"  four times overload, {seconds:.0f} s: {good:.0f} good answers/s, {good / peak:.2f} of the peak; ", end="")
    print(f"refusals p99 {1000 * quantile(refused, 0.99):.0f} ms; statuses {statuses(seen)}")
    print(f"  memory {before:.0f} MB before, at most {max(most):.0f} MB, {memory(pid):.0f} MB after")


async def one_by_one(port: int, requests: list[bytes]) -> float:
    line = await connect(port)
    seconds = []
    for number in range(110):
        started = time.perf_counter()
        await line.ask(requests[number % len(requests)])
        seconds.append(time.perf_counter() - started)
    assert line.transport is not None
    line.transport.close()
    return statistics.median(seconds[10:])


def rate_offline(model: str, paths: list[Path]) -> float:
    classifier = load(model)
    list(classifier.predict_files(paths[:20]))
    return len(paths) / once(lambda: list(classifier.predict_files(paths)))


@contextmanager
def kopal(model: str, *options: str) -> Iterator[tuple[int, int, float]]:
    """A server → port, process number, seconds from start to ready."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "kopal", "serve", model, "--port", "0", "--log-json", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port, event = 0, {"event": ""}
        while event["event"] != "ready":
            event = json.loads(server.stdout.readline())  # type: ignore[union-attr]
            port = int(event.get("address", f":{port}").rpartition(":")[2])
        ready = time.perf_counter() - started
        # Somebody must read the log, as journald would.
        threading.Thread(target=lambda: [None for _ in server.stdout or ()], daemon=True).start()
        yield port, server.pid, ready
    finally:
        server.terminate()
        server.wait()


@contextmanager
def plain(python: str) -> Iterator[int]:
    port = 8799
    server = subprocess.Popen([python, str(Path(__file__).with_name("plain_server.py")), str(port)])
    try:
        for _ in range(600):
            try:
                asyncio.run(connect(port))
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def form(photo: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return request(head + photo + b"\r\n--b--\r\n", "/predict", "multipart/form-data; boundary=b")


def memory(pid: int) -> float:
    """MB of a process and its children, shared pages counted once."""
    family = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        family += map(int, (task / "children").read_text().split())
    total = 0
    for member in set(family):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    return total / 1024


def statuses(seen: Seen) -> str:
    return ", ".join(f"{status} x {len(seconds)}" for status, seconds in sorted(seen.seconds.items()))


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
