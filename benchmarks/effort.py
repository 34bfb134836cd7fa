"""Claim: what each effort costs, and what it gains, on the same photos.

    python benchmarks/effort.py FOLDER ... [--photos 1000] [--seeds 2] [--efforts quick,balanced,best,best:int8]

A folder may also be digits or fashion-mnist. Each training computes everything anew; its seconds are those of the
process, all threads together, so that a busy machine counts for little. Accuracy is out of fold, with its interval;
the gain over balanced is of the same photos, both judged by heads that never saw them, with the 95 % interval of a mean
of paired differences. At the end the macro mean of each effort: every folder counts alike, and the photos of each are a
sample of their own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

from header import print_header
from int8 import sample
from kopal.datasets import Dataset
from kopal.metrics import wilson
from kopal.pipeline import train
from kopal.recipes import recipe
from kopal.run import Run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--efforts", default="quick,balanced,best,best:int8")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    efforts = sorted(options.efforts.split(","), key=lambda effort: effort != "balanced")
    everywhere: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {effort: [] for effort in efforts}
    for folder in options.folders:
        dataset = sample(folder, options.photos)
        print(f"{folder.rstrip('/').rsplit('/', 1)[-1]}, n = {len(dataset)}, {options.seeds} seeds")
        usual: np.ndarray | None = None
        for effort in efforts:
            runs, seconds = zip(*(timed(dataset, effort, seed) for seed in range(options.seeds)), strict=True)
            right = np.stack([answered(run) for run in runs])
            usual = right if usual is None else usual
            everywhere[effort].append((100 * right.mean(axis=0), 100 * (right.mean(axis=0) - usual.mean(axis=0))))
            report(effort, right, usual, list(seconds), [run.report.log_loss for run in runs])
    for effort, found in everywhere.items():
        accuracies, gains = zip(*found, strict=True)
        print(f"  {effort:9} macro mean {macro(accuracies)} %, gain {macro(gains)} points")


def macro(folders: tuple[np.ndarray, ...]) -> str:
    """A number a photo in each folder → the mean of the folders' means, with its 95 % interval."""
    error = sum(photos.var() / len(photos) for photos in folders) ** 0.5 / len(folders)
    return f"{np.mean([photos.mean() for photos in folders]):.2f} ± {1.96 * error:.2f}"


def timed(dataset: Dataset, effort: str, seed: int) -> tuple[Run, float]:
    """A training from nothing, and its seconds; "best:int8" is an effort and the numbers of its features."""
    name, _, numbers = effort.partition(":")
    made_by = recipe(name, seed=seed, features=numbers or None)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        began = process_time()
        run = train(dataset, out, made_by, cache=False)
        return run, process_time() - began


def answered(run: Run) -> np.ndarray:
    """(N,): which photos were named rightly, in the order of their names."""
    order = np.argsort(run.answers.names)
    right: np.ndarray = run.answers.probabilities.argmax(axis=1) == run.answers.labels
    return right[order]


def report(effort: str, right: np.ndarray, usual: np.ndarray, seconds: list[float], losses: list[float]) -> None:
    # A photo counts once, however many seeds judged it.
    gains = 100 * (right.astype(float).mean(axis=0) - usual.astype(float).mean(axis=0))
    low, high = wilson(int(right[0].sum()), right.shape[1])
    print(
        f"  {effort:9} {min(seconds):5.1f} to {max(seconds):5.1f} s  accuracy {right.mean():.4f} "
        f"(seed 0: {low:.3f} to {high:.3f})  log loss {np.mean(losses):.3f}  "
        f"gain {gains.mean():+.2f} ± {1.96 * gains.std() / len(gains) ** 0.5:.2f} points"
    )


if __name__ == "__main__":
    main()
