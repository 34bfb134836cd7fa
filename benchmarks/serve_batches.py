"""Claim: gathering photos into batches changes little, decoding and HTTP weigh more; so nobody is made to wait for it.

python benchmarks/serve_batches.py model.onnx path/to/photos [--seconds 6]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
from pathlib import Path

from clients import closed_loop, quantile, request
from header import print_header
from serve_load import CLIENTS, kopal

WAYS = (("1", "0"), ("0", "0"), ("8", "0"), ("8", "2"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--seconds", type=float, default=6)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    paths = sorted(path for path in Path(options.photos).rglob("*") if path.is_file())[:400]
    requests = [request(path.read_bytes()) for path in paths]
    rates: dict[tuple[str, str], list[float]] = {way: [] for way in WAYS}
    tails: dict[tuple[str, str], float] = {}
    for _ in range(3):
        for most, wait in WAYS:
            with kopal(options.model, "--max-batch", most, "--max-wait-ms", wait) as (port, _, _):
                seen, rate = asyncio.run(closed_loop(port, requests, CLIENTS, options.seconds / 3))
            rates[most, wait].append(rate)
            tails[most, wait] = quantile(seen.seconds[200], 0.99)
    for (most, wait), found in rates.items():
        print(f"  --max-batch {most} --max-wait-ms {wait}: {statistics.median(found):.0f} photos/s", end="")
        print(f" ({min(found):.0f} to {max(found):.0f}), p99 {1000 * tails[most, wait]:.0f} ms")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
