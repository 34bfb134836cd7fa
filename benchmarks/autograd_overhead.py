"""Claim: a node of the graph costs under 5 microseconds, made and walked, on a chain of 20 000; no recursion anywhere.

    python benchmarks/autograd_overhead.py [--rounds 9]

The chain is of single numbers, so the arithmetic itself is nearly nothing; what it costs in bare NumPy is measured
beside it. Also a graph of 500 nodes of which each is used twice. Run it where PyTorch is not imported.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from kopal.autograd import Tensor

CHAIN = 20_000
OPERATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]] = {
    "-x": (lambda x: -x, lambda x: -x),
    "x + 1": (lambda x: x + 1.0, lambda x: x + 1.0),
    "x · 1.0001": (lambda x: x * 1.0001, lambda x: x * 1.0001),
    "√x": (lambda x: x.sqrt(), np.sqrt),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, ", end="")
    print(f"chain of {CHAIN}, n = {rounds}; microseconds per node: best (median)\n")
    print("| operation | forward | backward | together | bare NumPy, forward |")
    print("|---|--:|--:|--:|--:|")
    for name, (ours, bare) in OPERATIONS.items():
        turns = [(*chain(ours, CHAIN), bare_chain(bare, CHAIN)) for _ in range(rounds)]
        print(f"| {name} | {' | '.join(spread([pick(t) for t in turns]) for pick in COLUMNS)} |")
    turns = [(*chain(lambda x: x + x, 500), 0.0) for _ in range(rounds * 5)]
    cells = " | ".join(spread([pick(t) for t in turns]) for pick in COLUMNS[:3])
    print(f"| x + x, 500 nodes, each used twice | {cells} | |")


Turn = tuple[float, float, float]
COLUMNS: list[Callable[[Turn], float]] = [lambda t: t[0], lambda t: t[1], lambda t: t[0] + t[1], lambda t: t[2]]


def chain(operation: Callable[[Tensor], Tensor], nodes: int) -> tuple[float, float]:
    """Microseconds per node: to make the chain, to walk it back."""
    x = Tensor(1.5, wants_gradient=True)
    start = time.perf_counter()
    y = x
    for _ in range(nodes):
        y = operation(y)
    made = time.perf_counter()
    y.backward()
    walked = time.perf_counter()
    return (made - start) / nodes * 1e6, (walked - made) / nodes * 1e6


def bare_chain(operation: Callable[[np.ndarray], np.ndarray], nodes: int) -> float:
    y = np.array(1.5)
    start = time.perf_counter()
    for _ in range(nodes):
        y = np.asarray(operation(y))
    return (time.perf_counter() - start) / nodes * 1e6


def spread(times: list[float]) -> str:
    return f"{min(times):.2f} ({median(times):.2f})"


if __name__ == "__main__":
    main()
