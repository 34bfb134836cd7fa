"""Claim: the vectorised linear classifier is 12 times the per-sample loop, and keeps up with PyTorch, scikit-learn.

    python benchmarks/linear.py path/to/class/folders/or.zip [--epochs 8]

Images a second of one epoch of mini-batch steps (batch 128, float32): the lecture's loop over samples, kopal, and the
same loop in PyTorch where it is installed; then seconds to a test accuracy against scikit-learn's LogisticRegression
(lbfgs, float32).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from time import perf_counter

import numpy as np

from header import once, print_header
from kopal.datasets import open_dataset
from kopal.fit import linear
from kopal.fit.learner import Photographs
from kopal.fit.normalise import measure
from kopal.images import Geometry
from kopal.pixels import read_pixels

BATCH, RATE, MOMENTUM = 128, 0.003, 0.9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    pixels, labels, test_pixels, test_labels, classes = load(options.data)
    print(f"n = {len(labels)} to train, {len(test_labels)} to test, {pixels.shape[1:]}, {classes} classes")
    normalisation = measure(Photographs(pixels, labels), "channel")

    def learner() -> linear.LinearLearner:
        w, b = linear.start(np.random.default_rng(0), classes, pixels[0].size)
        return linear.LinearLearner(normalisation, w, b, MOMENTUM)

    few = 1000
    ways = {
        "per sample": (few, lambda: per_sample_epoch(normalisation.flat(pixels[:few]), labels[:few], classes)),
        "kopal": (len(labels), lambda: epoch(learner(), pixels, labels)),
    }
    if "torch" in sys.modules or find_torch():
        ways["torch"] = (len(labels), lambda: torch_epoch(normalisation, pixels, labels, classes))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, (count, work) in ways.items():
            rates[name].append(count / once(work))
    for name, found in rates.items():
        print(f"  {name:12} {np.median(found):10,.0f} images/s ({min(found):,.0f} to {max(found):,.0f})")
    print(f"  kopal / per sample {np.median(rates['kopal']) / np.median(rates['per sample']):.1f}")
    if "torch" in rates:
        print(f"  torch / kopal {np.median(rates['torch']) / np.median(rates['kopal']):.2f}")

    started, best = perf_counter(), learner()
    for number in range(options.epochs):
        epoch(best, pixels, labels, RATE * (1 - number / options.epochs))
    seconds = perf_counter() - started
    accuracy = (best.scores(test_pixels).argmax(1) == test_labels).mean()
    print(f"  kopal        {seconds:6.1f} s to {accuracy:.4f} test accuracy, {options.epochs} epochs")
    print()
    from sklearn.linear_model import LogisticRegression

    flat, test_flat = normalisation.flat(pixels), normalisation.flat(test_pixels)
    for steps in (10, 20, 40, 80):
        model = LogisticRegression(max_iter=steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stopped early is the point
            seconds = once(lambda model=model: model.fit(flat, labels))
        print(f"  scikit-learn {seconds:6.1f} s to {model.score(test_flat, test_labels):.4f}, {steps} iterations")


def load(data: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    if data.endswith(".zip"):
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(data) as archive:
            archive.extractall(scratch)
            return load(str(next(Path(scratch).iterdir())))
    dataset = open_dataset(data)
    photos, _ = read_pixels(dataset, Geometry(32, 32))
    test = photos.where("test")
    if not test.any():
        test = np.arange(len(photos)) % 5 == 0
    return photos.pixels[~test], photos.labels[~test], photos.pixels[test], photos.labels[test], len(photos.classes)


def epoch(learner: linear.LinearLearner, pixels: np.ndarray, labels: np.ndarray, rate: float = RATE) -> None:
    order = np.random.default_rng(0).permutation(len(labels))
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        learner.learn(pixels[chosen], labels[chosen], rate)


def per_sample_epoch(rows: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """The lecture's loop, line for line: one photo after the other inside each batch, w in float64."""
    rng = np.random.default_rng(0)
    w, b = 1e-3 * rng.standard_normal((classes, rows.shape[1])), 1e-3 * rng.standard_normal(classes)
    for first in range(0, len(rows), BATCH):
        loss, dw, db = 0.0, np.zeros_like(w), np.zeros_like(b)
        n = len(labels[first : first + BATCH])
        for x, y in zip(rows[first : first + BATCH], labels[first : first + BATCH], strict=True):
            s = np.dot(w, x) + b
            p = np.exp(s) / np.sum(np.exp(s))
            loss += -np.log(p[y])
            residual = p.copy()
            residual[y] -= 1
            dw += np.dot(residual.reshape(-1, 1), x.reshape(1, -1))
            db += residual
        w -= RATE * dw / n
        b -= RATE * db / n


def torch_epoch(normalisation: object, pixels: np.ndarray, labels: np.ndarray, classes: int) -> None:
    import torch

    layer = torch.nn.Linear(pixels[0].size, classes)
    optimiser = torch.optim.SGD(layer.parameters(), lr=RATE, momentum=MOMENTUM)
    x, y = torch.from_numpy(pixels), torch.from_numpy(labels)
    mean, deviation = torch.from_numpy(normalisation.mean), torch.from_numpy(normalisation.deviation)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        rows = ((x[chosen].float() - mean) / deviation).flatten(1)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(layer(rows), y[chosen]).backward()
        optimiser.step()


def find_torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


if __name__ == "__main__":
    main()
