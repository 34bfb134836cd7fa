"""Claim: conv2d of the engine, forward and backward, keeps within a small factor of PyTorch on real layer shapes.

    python benchmarks/conv2d.py [--threads 2] [--rounds 3]

Each library runs in a process of its own, because two pools of waiting threads on the same cores slow each other down;
the processes take turns, and the ratio is that of the best times. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

# name: (N, C, H, W), (O, C / groups, h, w), stride, padding, groups
LAYERS = {
    "LeNet 6→16, 5x5": ((128, 6, 12, 12), (16, 6, 5, 5), 1, 0, 1),
    "VGG 64→64, 3x3": ((8, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1),
    "1x1 96→24": ((8, 96, 56, 56), (24, 96, 1, 1), 1, 0, 1),
    "depthwise 144, 3x3": ((8, 144, 56, 56), (144, 1, 3, 3), 1, 1, 144),
    "stride 2 64→128, 3x3": ((8, 64, 56, 56), (128, 64, 3, 3), 2, 1, 1),
}
REPEATS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--library", choices=["kopal", "torch"], help="measure one, print JSON")
    arguments = parser.parse_args()
    if arguments.library:
        print(json.dumps(measure(arguments.library, arguments.threads)))
        return
    turns: dict[str, list[dict[str, list[float]]]] = {"torch": [], "kopal": []}
    for _ in range(arguments.rounds):
        for library, results in turns.items():
            results.append(in_a_process_of_its_own(library, arguments.threads))
    print(
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, ",
        end="",
    )
    print(f"{arguments.threads} threads, n = {arguments.rounds} x {REPEATS}; ms: best (median)\n")
    print("| layer | forward torch | kopal | ratio | forward + backward torch | kopal | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name in LAYERS:
        cells = []
        for kind in ("forward", "both"):
            times = {
                library: [t for turn in results for t in turn[f"{name} {kind}"]] for library, results in turns.items()
            }
            cells += [f"{min(times[library]):.2f} ({median(times[library]):.2f})" for library in ("torch", "kopal")]
            cells.append(f"{min(times['torch']) / min(times['kopal']):.2f}")
        print(f"| {name} | {' | '.join(cells)} |")


def in_a_process_of_its_own(library: str, threads: int) -> dict[str, list[float]]:
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, __file__, "--library", library, "--threads", str(threads)]
    result = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(result.stdout)
    return found


def measure(library: str, threads: int) -> dict[str, list[float]]:
    """Milliseconds of each repetition, by layer and direction."""
    return {
        f"{name} {kind}": timed(run)
        for name in LAYERS
        for kind, run in (with_torch(name, threads) if library == "torch" else with_kopal(name)).items()
    }


def timed(run: Callable[[], object]) -> list[float]:
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def with_kopal(name: str) -> dict[str, Callable[[], object]]:
    from kopal.autograd import Tensor, conv2d, no_grad

    images, weights, stride, padding, groups = LAYERS[name]
    rng = np.random.default_rng(0)
    x, w = (Tensor(rng.standard_normal(shape, np.float32), wants_gradient=True) for shape in (images, weights))
    b = Tensor(np.zeros(weights[0], np.float32), wants_gradient=True)

    def run() -> Tensor:
        return conv2d(x, w, b, (stride, stride), (padding,) * 4, groups)

    def forward() -> None:
        with no_grad():
            run()

    dz = np.ones_like(run().array)
    return {"forward": forward, "both": lambda: run().backward(dz)}


def with_torch(name: str, threads: int) -> dict[str, Callable[[], object]]:
    import torch

    torch.set_num_threads(threads)
    images, weights, stride, padding, groups = LAYERS[name]
    x, w = (torch.randn(shape, requires_grad=True) for shape in (images, weights))
    b = torch.zeros(weights[0], requires_grad=True)

    def run() -> torch.Tensor:
        return torch.nn.functional.conv2d(x, w, b, stride, padding, 1, groups)

    def forward() -> None:
        with torch.no_grad():
            run()

    dz = torch.ones_like(run())
    return {"forward": forward, "both": lambda: run().backward(dz)}


if __name__ == "__main__":
    main()
