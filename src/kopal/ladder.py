"""The lecture's way as a ladder: what each step from naming the largest class to a fine-tuned net buys on one's photos.

Every rung learns from the same photos and is measured on the same test part, which none of them sees before. A rung is
a run folder of its own, so a ladder that was cut short goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import compress
from pathlib import Path
from time import perf_counter

import numpy as np

from kopal.classifier import load
from kopal.datasets import PARTS, Data, Dataset, Part, check_groups, check_learnable, open_dataset
from kopal.errors import KopalError, OutputError, UnreadableImage, UsageError
from kopal.files import shown
from kopal.fit.lesson import HELD
from kopal.fit.pupil import torch_is_there
from kopal.log import Log, Note, silent
from kopal.metrics import wilson
from kopal.parallel import chunks, ordered
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.repeat import recipe_of
from kopal.report.page import whereabouts
from kopal.run import REPORT
from kopal.rungs import STEPS, Rung, Step
from kopal.splits import parts, together

CHUNK = 64
SHORTEST = 2.0
"""Seconds that a rung needs at the least to be worth a try."""


EPOCHS = 20
"""Passes over the photos of a rung that starts from random weights, where no budget ends it before."""


def climb(data: Data, out: Path, budget: float = 0.0, seed: int = 0, log: Log = silent) -> Iterator[Rung]:
    """The rungs of a data set, from the lowest, each as soon as it is climbed; the runs stand in `out`.

    `budget` is in seconds, 0 for as long as it takes. What would not fit is left out and said so. Raises `KopalError`.
    """
    began = perf_counter()
    dataset = open_dataset(data)
    log(dataset)
    check_learnable(dataset.classes, dataset.counts("train"))
    check_groups(dataset)
    dataset = in_parts(dataset, seed)
    yield majority(dataset)
    for step in STEPS:
        left = budget - (perf_counter() - began) if budget else float("inf")
        yield _rung(step, dataset, out, left, seed, log)


def majority(dataset: Dataset) -> Rung:
    """Always naming the class that is the largest in train."""
    largest = int(np.argmax(dataset.counts("train")))
    counts = dataset.counts("test")
    n = sum(counts)
    return Rung("the largest class", counts[largest] / n, wilson(counts[largest], n), n, 0.0, 0)


def in_parts(dataset: Dataset, seed: int) -> Dataset:
    """The set with calibration and test carved from train where its owner brought none; equal files stay together."""
    missing = [part for part in PARTS[1:] if not dataset.has(part)]
    if not missing:
        return dataset
    train = [index for index, part in enumerate(dataset.parts) if part == "train"]
    digests = list(_digests(dataset, train))
    readable = [digest is not None for digest in digests]
    kept = list(compress(train, readable))
    labels = np.array([dataset.labels[index] for index in kept], np.int64)
    groups = together([digest for digest in digests if digest is not None], dataset.groups_at(kept))
    dealt = parts(labels, groups, [HELD] * len(missing), seed, dataset.classes)
    own: list[Part] = list(dataset.parts)
    for index, number in zip(kept, dealt, strict=True):
        own[index] = missing[number - 1] if number else "train"
    return replace(dataset, parts=tuple(own))


def _digests(dataset: Dataset, indices: list[int]) -> Iterator[bytes | None]:
    def digest(index: int) -> bytes | None:
        try:
            return hashlib.sha256(dataset.read(index)).digest()
        except UnreadableImage:
            return None

    for found in ordered(lambda batch: [digest(index) for index in batch], chunks(indices, CHUNK)):
        yield from found


def _rung(step: Step, dataset: Dataset, out: Path, left: float, seed: int, log: Log) -> Rung:
    nothing = Rung(step.name, 0.0, (0.0, 1.0), 0, 0.0, 0)
    # The photos are the same for every rung, and have been told of.
    beside: Log = lambda noun: None if isinstance(noun, Dataset) else log(noun)  # noqa: E731
    folder = out / step.name.replace(" ", "-")
    if (folder / REPORT).is_file():
        _check_same(folder, dataset, seed)
        log(Note(f"{step.name}: climbed before, taken from {folder}"))
        return _read(step, folder)
    if "tune" in step.knobs and not torch_is_there():
        return replace(nothing, left_out="PyTorch is not installed")
    if left * step.share < SHORTEST:
        return replace(nothing, left_out="its share of the budget is too short")
    try:
        train(dataset, folder, _recipe(step, left, seed), log=beside, resume=_resumable(folder))
    except UsageError:
        raise
    except KopalError as error:
        return replace(nothing, left_out=error.happened)
    return _read(step, folder)


def _check_same(folder: Path, dataset: Dataset, seed: int) -> None:
    """Raises `OutputError` where a rung was climbed with other photos or another seed."""
    then = json.loads((folder / REPORT).read_text(encoding="utf-8")).get("data", {})
    if (then.get("path"), recipe_of(folder).seed) != (whereabouts(dataset.origin).get("path"), seed):
        raise OutputError(
            f"{shown(folder)} is a rung of other photos, or of another seed",
            "a new folder, or one of a ladder of these photos",
            "choose another --out",
        )


def _recipe(step: Step, left: float, seed: int) -> Recipe:
    if not step.knobs:
        return recipe(seed=seed)
    timed = {} if left == float("inf") else {"budget": left * step.share}
    usual = {} if "tune" in step.knobs else {"epochs": EPOCHS}
    return recipe(seed=seed, **{**usual, **timed, **step.knobs})


def _resumable(folder: Path) -> bool:
    return (folder / "checkpoint").is_dir()


def _read(step: Step, folder: Path) -> Rung:
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    low, high = report["interval"]
    return Rung(
        step.name,
        report["accuracy"],
        (low, high),
        report["n"],
        report["seconds"],
        load(folder / "model.onnx").parameters,
        str(folder),
    )
