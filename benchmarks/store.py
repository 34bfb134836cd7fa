"""Claim: 100 000 rows of 1280 features are read from the store in 2 seconds or less.

    python benchmarks/store.py [--rows 100000] [--batch 8] [--folder DIR] [--page 4096 16384]

Rows are written and read as features.py does it: in batches, by as many workers as there are cores, through one Store.
"Cold" comes first: the file's pages are dropped from the system's memory where it has a call for that (POSIX, and only
for what is on the disk already). Then five times warm, each in a newly opened Store, closing it included: medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from header import once, print_header
from kopal import store
from kopal.parallel import chunks, ordered
from kopal.store import FILE, Store, layout, usage, verify

DIMENSION = 1280


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--folder", help="where to write 0.6 GB; default: a temporary folder")
    parser.add_argument("--page", type=int, nargs="*", default=[layout.PAGE], help="sizes of SQLite's pages to compare")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    for page in options.page:
        layout.PAGE = page
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(Path(folder), options.rows, options.batch)


def measure(folder: Path, rows: int, batch: int) -> None:
    digests = [number.to_bytes(32, "big") for number in range(rows)]
    noise = np.random.default_rng(0).standard_normal(DIMENSION + 4096).astype(np.float32)

    def row(digest: bytes) -> np.ndarray:
        at = int.from_bytes(digest, "big") % 4096
        return noise[at : at + DIMENSION]

    def writing() -> None:
        with closing(Store(folder, b"net")) as kept:
            list(ordered(lambda some: kept.put({digest: row(digest) for digest in some}), chunks(digests, batch)))
            assert not kept.fault, kept.fault

    def reading() -> None:
        features = np.empty((rows, DIMENSION), np.float32)
        with closing(Store(folder, b"net")) as kept:
            at = 0
            for some, found in ordered(lambda some: (some, kept.get(some)), chunks(digests, batch)):
                for digest in some:
                    features[at] = found[digest]
                    at += 1
            assert at == rows, (at, kept.fault)
        assert all((features[index] == row(digests[index])).mean() == 1 for index in (0, rows // 2, rows - 1))

    print(f"n = {rows} rows of {DIMENSION} float32, batches of {batch}, pages of {layout.PAGE} bytes")
    write = once(writing)
    size = usage(folder)[1]
    print(f"  write         {write:6.2f} s   {rows / write:8.0f} rows/s")
    if dropped(folder / FILE):
        cold = once(reading)
        print(f"  read, cold    {cold:6.2f} s   {rows / cold:8.0f} rows/s")
    reading()
    warm = [once(reading) for _ in range(5)]
    median = statistics.median(warm)
    print(f"  read, warm    {median:6.2f} s   {rows / median:8.0f} rows/s  ({min(warm):.2f} to {max(warm):.2f} s)")
    print(f"  verify        {once(lambda: verify(folder)):6.2f} s")
    print(f"  prune to half {once(lambda: store.prune(folder, size // 2)):6.2f} s")
    print(f"  on disk       {size / 1e6:6.0f} MB  {size / (rows * DIMENSION * 4):8.3f} of the numbers alone\n")


def dropped(file: Path) -> bool:
    """Ask the system to forget the file's pages; whether it has such a call."""
    if not sys.platform.startswith("linux"):
        return False
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True


if __name__ == "__main__":
    main()
