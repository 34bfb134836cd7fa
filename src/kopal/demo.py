"""The main job on real data that needs no download, with a picture of what came out."""

from __future__ import annotations

import os

import numpy as np

from kopal.datasets import NAMED, Dataset, fashion_mnist_folder
from kopal.files import write_bytes
from kopal.log import Log, Note, silent
from kopal.pipeline import train
from kopal.recipes import Recipe
from kopal.report.picture import predictions_picture
from kopal.run import Run

SAMPLE = {"train": 2000, "test": 1000}
SAMPLES = 6


def demo(out: str | os.PathLike[str] | None = None, seed: int = 0, log: Log = silent) -> Run:
    """Train on a sample of FashionMNIST where this machine has it, else on scikit-learn's digits.

    Beside the run's own files it leaves predictions.png and a few photos in samples/ to predict.
    """
    dataset = demo_data(seed, log)
    run = train(dataset, out, Recipe(seed=seed), log=log)
    picture = predictions_picture(run.answers, run.classifier.classes, dataset.source, seed)
    write_bytes(run.folder / "predictions.png", picture)
    samples = run.folder / "samples"
    samples.mkdir()
    order = np.random.default_rng(seed).permutation(len(run.answers.names))[:SAMPLES]
    for number, index in enumerate(order):
        name = run.classifier.classes[run.answers.labels[index]].replace(" ", "-")
        write_bytes(samples / f"{number + 1}-{name}.png", dataset.source.read(run.answers.names[index]))
    return run


def demo_data(seed: int, log: Log) -> Dataset:
    """FashionMNIST's sample, drawn by `seed`, or the digits."""
    if fashion_mnist_folder() is None:
        log(Note("FashionMNIST is not on this machine: the demo takes scikit-learn's handwritten digits"))
        return NAMED["digits"]()
    whole = NAMED["fashion-mnist"]()
    parts = np.array(whole.parts)
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(np.flatnonzero(parts == part), count, replace=False) for part, count in SAMPLE.items()]
    train_count, test_count = SAMPLE.values()
    log(Note(f"a random sample of FashionMNIST: {train_count} of 60000 photos to train, {test_count} of 10000 to test"))
    return whole.sample([int(index) for index in np.sort(np.concatenate(drawn))])
