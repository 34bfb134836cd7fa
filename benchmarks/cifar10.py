"""CIFAR-10 from scratch on two cores: a residual net reaches 0.85 on the test part within 15 minutes.

    python benchmarks/cifar10.py cifar10.zip                  three seeds, 14 minutes each: accuracy against minutes
    python benchmarks/cifar10.py cifar10.zip --formats        images/s in bfloat16 and in float32, epochs in turn

The archive holds train/ and test/ with a folder for each class.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

import kopal
from header import print_header
from kopal.fit.loop import Epoch
from kopal.recipes import Recipe

RECIPE = {"net": "resnet9", "augment": "medium", "smoothing": 0.1, "batch": 128, "rate": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--formats", action="store_true")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    if options.formats:
        formats(options.data)
        return
    for seed in range(options.seeds):
        made = kopal.recipe(budget=60 * options.minutes, seed=seed, engine="torch", **RECIPE)
        curve, run = trained(options.data, made)
        low, high = run.report.interval
        test = f"test {run.report.accuracy:.4f} ({low:.3f} to {high:.3f}, n = {run.report.n})"
        print(f"seed {seed}: {test}, {run.seconds:.0f} s")
        print("  minutes: validation accuracy  " + ", ".join(curve), flush=True)


def trained(data: str, made: Recipe) -> tuple[list[str], kopal.Run]:
    """A run, and its validation accuracy against minutes, every fifth epoch."""
    folder = Path(tempfile.mkdtemp())
    try:
        run = kopal.train(data, folder / "run", made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    minutes = np.cumsum([epoch.seconds for epoch in run.history]) / 60
    rows = list(zip(minutes, run.history, strict=True))
    return [f"{at:.1f}: {epoch.validation_accuracy:.3f}" for at, epoch in [*rows[4:-1:5], rows[-1]]], run


def formats(data: str) -> None:
    """Images a second of one epoch each, in turn."""
    rates: dict[str, list[float]] = {"auto": [], "off": []}
    for _ in range(3):
        for amp, found in rates.items():
            first = kopal.train(data, Path(tempfile.mkdtemp()) / "run", kopal.recipe(epochs=1, amp=amp, **RECIPE))
            epoch: Epoch = first.history[0]
            found.append(epoch.images_per_second)
    for amp, found in rates.items():
        print(f"  --amp {amp:5} {np.median(found):7.0f} images/s ({min(found):.0f} to {max(found):.0f})")
    print(f"  auto / off {np.median(rates['auto']) / np.median(rates['off']):.2f}")


if __name__ == "__main__":
    main()
