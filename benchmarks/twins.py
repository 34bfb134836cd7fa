"""Claim: the search for near-duplicates by features grows far slower than n², and hardly misses one.

    python benchmarks/twins.py [--rows 25000 50000 100000] [--numbers 1280]

Synthetic features: 500 clusters, and for every tenth row a copy of it, moved so that their cosine is about 0.95.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from header import print_header
from kopal.audit.neighbours import directions, neighbours
from kopal.audit.twins import BY_FEATURES


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    parser.add_argument("--numbers", type=int, default=1280)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    for count in options.rows:
        features, planted = made(count, options.numbers)
        started = time.perf_counter()
        vectors = directions(features)
        near = neighbours(vectors, vectors, BY_FEATURES + 1)
        spent = time.perf_counter() - started
        found = np.mean([two in near[one] or one in near[two] for one, two in planted])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        of_them = features.nbytes >> 20
        print(f"{count:7} rows of {options.numbers}: {spent:5.1f} s, {found:.3f} of {len(planted)} copies proposed")
        print(f"        peak {peak} MB, of which features {of_them} MB")


def made(count: int, numbers: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, numbers), and the pairs (P, 2) of rows that are copies."""
    rng = np.random.default_rng(0)
    copies = count // 11
    centres = rng.standard_normal((500, numbers), np.float32)
    features = np.empty((count, numbers), np.float32)
    for row in range(0, count - copies, 1000):
        block = features[row : min(row + 1000, count - copies)]
        block[:] = 0.7 * centres[rng.integers(0, 500, len(block))] + rng.standard_normal(block.shape, np.float32)
    sources = rng.permutation(count - copies)[:copies]
    for row, source in enumerate(sources, start=count - copies):
        features[row] = features[source] + 0.38 * rng.standard_normal(numbers, np.float32)
    return features, np.stack([sources, np.arange(count - copies, count)], axis=1)


if __name__ == "__main__":
    main()
