"""Claim: at `--lr auto` each of six small trainings reaches 0.95 in four epochs; at no other point of the curve do all.

OMP_NUM_THREADS=1 python benchmarks/lr_finder.py [--epochs 4] [--net garment --optimiser sgd]
On the digits; accuracy on all photos that were not learned from, after a cosine schedule, by seed and their mean.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from header import print_header
from kopal.datasets import open_dataset
from kopal.errors import Diverged
from kopal.fit import scratch
from kopal.fit.lesson import batch_size, carved, lesson_of
from kopal.fit.loop import epochs
from kopal.fit.lr_finder import Sweep
from kopal.fit.world import ALONE
from kopal.pixels import PixelPhotos, read_pixels
from kopal.recipes import Recipe, recipe

WAYS = (
    ("garment", "sgd"),
    ("mlp", "sgd"),
    ("garment", "adamw"),
    ("mlp", "adamw"),
    ("lenet5", "sgd"),
    ("linear", "sgd"),
)
HAND_SET = {"sgd": 0.02, "adamw": 0.001}
SEEDS = range(3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--net")
    parser.add_argument("--optimiser", default="sgd")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    dataset = open_dataset("digits")
    for net, optimiser in [(options.net, options.optimiser)] if options.net else WAYS:
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in SEEDS:
            knobs = recipe(net=net, optimiser=optimiser, seed=seed, epochs=options.epochs)
            photos = scratch.in_parts(read_pixels(dataset, scratch.geometry(knobs, dataset))[0], seed)
            with np.errstate(all="ignore"):
                for name, rate in suggestions(scratch.find_rate(knobs, photos), optimiser).items():
                    found.setdefault(name, []).append((rate, accuracy(knobs, photos, rate)))
        print(f"{net}, {optimiser}, {options.epochs} epochs, n = {len(SEEDS)} seeds")
        for name, pairs in found.items():
            mean = np.mean([right for _, right in pairs])
            print(
                f"  {name:12} {mean:.3f}  ",
                "  ".join(f"{right:.3f} at {rate:.2g}" for rate, right in pairs),
                flush=True,
            )


def suggestions(swept: Sweep, optimiser: str) -> dict[str, float]:
    return {
        "by hand": HAND_SET[optimiser],
        "steepest": swept.steepest,
        "valley": swept.valley,
        "lowest": swept.lowest,
        "lowest / 10": swept.lowest / 10,
        "suggested": swept.suggested,
    }


def accuracy(knobs: Recipe, photos: PixelPhotos, rate: float) -> float:
    learning, validation = carved(knobs, photos)
    knobs = replace(knobs, rate=rate, batch=batch_size(knobs, len(learning)))
    learner = scratch.pupil_of(knobs, photos, learning, ALONE, None).make()
    try:
        for _ in epochs(learner, learning, validation, lesson_of(knobs, photos, validation)):
            pass
    except Diverged:
        return 0.0
    held = np.setdiff1d(np.arange(len(photos)), learning.rows)
    return float((learner.scores(photos.pixels[held]).argmax(axis=1) == photos.labels[held]).mean())


if __name__ == "__main__":
    main()
