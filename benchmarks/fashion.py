"""FashionMNIST from scratch: the lecture's net to 0.90 in 40 s, a net of less than 100 000 parameters to 0.925.

python benchmarks/fashion.py garment | slim [--seeds 3]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import kopal
from header import print_header
from kopal.nets.describe import describe
from kopal.nets.registry import build

RECIPES: dict[str, dict[str, Any]] = {
    "garment": {
        "net": "garment",
        "epochs": 12,
        "batch": 64,
        "rate": 0.05,
        "nesterov": True,
        "schedule": "one-cycle",
        "penalty": 5e-4,
        "smoothing": 0.05,
    },
    "slim": {
        "net": "resnet20-slim",
        "epochs": 21,
        "batch": 128,
        "rate": 0.1,
        "augment": "medium",
        "smoothing": 0.05,
        "engine": "torch",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    made = RECIPES[options.which]
    parameters = sum(row.parameters for row in describe(build(made["net"], 10, (28, 28, 1))))
    print(f"{made['net']}, {parameters:,} parameters, {made['epochs']} epochs of 48 600 photos")
    for seed in range(options.seeds):
        folder = Path(tempfile.mkdtemp())
        started = perf_counter()
        run = kopal.train("fashion-mnist", folder / "run", kopal.recipe(seed=seed, **made))
        low, high = run.report.interval
        seconds = perf_counter() - started
        training = sum(epoch.seconds for epoch in run.history)
        print(
            f"seed {seed}: test {run.report.accuracy:.4f} ({low:.3f} to {high:.3f}, n = {run.report.n}) "
            f"in {seconds:.1f} s, of which {training:.1f} s epochs",
            flush=True,
        )
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
