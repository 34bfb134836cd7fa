"""The lecture's way as a ladder: what each step from naming the largest class to a fine-tuned net buys on one's photos.

Every rung learns from the same photos and is measured on the same test part, which none of them sees before. A rung is
a run folder of its own, so a ladder that was cut short goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from time import perf_counter

import numpy as np

from kopal.classifier import load
from kopal.datasets import PARTS, Data, Dataset, Part, check_groups, check_learnable, open_dataset
from kopal.errors import CheckpointError, KopalError, OutputError, UnreadableImage, UsageError
from kopal.files import shown
from kopal.fit.lesson import HELD
from kopal.fit.pupil import torch_is_there
from kopal.footing import Footing, footing, keep, stand
from kopal.log import Log, Note, silent
from kopal.metrics import wilson
from kopal.parallel import chunks, ordered
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.repeat import recipe_of
from kopal.run import CHECKPOINT, REPORT
from kopal.rung_costs import allotted, least_seconds
from kopal.rungs import STEPS, Rung, Step
from kopal.splits import parts, together

CHUNK = 64
SLACK = 1.1
"""What a rung under way was given may be more than there is now, by the tenth that a budget allows."""
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
    digests = list(_digests(dataset, range(len(dataset))))
    dataset = in_parts(dataset, seed, digests)
    ladder = _Ladder(dataset, out, seed, footing(dataset, digests, seed), log)
    budgets = stand(out, ladder.footing, [ladder.folder(step) for step in STEPS])
    yield majority(dataset)
    needs = {step.name: ladder.needs(step, budgets) if budget else 0.0 for step in STEPS}
    for step in STEPS:
        left = budget - (perf_counter() - began) if budget else float("inf")
        yield ladder.rung(step, *allotted(step, STEPS, needs, left), needs[step.name], budgets)


def majority(dataset: Dataset) -> Rung:
    """Always naming the class that is the largest in train."""
    largest = int(np.argmax(dataset.counts("train")))
    counts = dataset.counts("test")
    n = sum(counts)
    return Rung("the largest class", counts[largest] / n, wilson(counts[largest], n), n, 0.0, 0)


def in_parts(dataset: Dataset, seed: int, digests: Sequence[bytes | None] | None = None) -> Dataset:
    """The set with calibration and test carved from train where its owner brought none; equal files stay together.

    `digests` are its photos' sha256, None for those that cannot be read; where they are not given all are read.
    """
    missing = [part for part in PARTS[1:] if not dataset.has(part)]
    if not missing:
        return dataset
    train = [index for index, part in enumerate(dataset.parts) if part == "train"]
    digests = list(_digests(dataset, range(len(dataset)))) if digests is None else digests
    kept = [index for index in train if digests[index] is not None]
    labels = np.array([dataset.labels[index] for index in kept], np.int64)
    groups = together([digests[index] or b"" for index in kept], dataset.groups_at(kept))
    dealt = parts(labels, groups, [HELD] * len(missing), seed, dataset.classes)
    own: list[Part] = list(dataset.parts)
    for index, number in zip(kept, dealt, strict=True):
        own[index] = missing[number - 1] if number else "train"
    return replace(dataset, parts=tuple(own))


def _digests(dataset: Dataset, indices: Sequence[int]) -> Iterator[bytes | None]:
    def digest(index: int) -> bytes | None:
        try:
            return hashlib.sha256(dataset.read(index)).digest()
        except UnreadableImage:
            return None

    for found in ordered(lambda batch: [digest(index) for index in batch], chunks(indices, CHUNK)):
        yield from found


@dataclass(frozen=True)
class _Ladder:
    """A set in its parts, and where and how it is climbed."""

    dataset: Dataset
    out: Path
    seed: int
    footing: Footing
    log: Log

    def folder(self, step: Step) -> Path:
        return self.out / step.name.replace(" ", "-")

    def needs(self, step: Step, budgets: Mapping[str, float]) -> float:
        """The seconds that a rung needs at the least; none where it is climbed already, or cannot be."""
        if (self.folder(step) / REPORT).is_file() or _lacks_torch(step):
            return 0.0
        if self._under_way(step) and step.name in budgets:
            return budgets[step.name] / SLACK or float("inf")
        try:
            return least_seconds(_recipe(step, self.seed), self.dataset)
        except KopalError:  # which the training itself will meet, and be left out for
            return 0.0

    def rung(self, step: Step, given: float, spare: float, need: float, budgets: dict[str, float]) -> Rung:
        """The rung climbed in the seconds that it is given, taken from its folder, or left out; `budgets` are kept."""
        nothing, folder = Rung(step.name, 0.0, (0.0, 1.0), 0, 0.0, 0), self.folder(step)
        if (folder / REPORT).is_file():
            then = recipe_of(folder).budget
            timed = f" in a budget of {then:.0f} s" if then else ""
            self.log(Note(f"{step.name}: climbed before{timed}, taken from {folder}"))
            return _read(step, folder)
        if _lacks_torch(step):
            return replace(nothing, left_out="PyTorch is not installed")
        resume = self._under_way(step)
        if not given:
            if resume and step.name in budgets:
                seconds = budgets[step.name]
                why = f"begun with a budget of {seconds:.0f} s" if seconds else "begun without a budget"
            else:
                why = f"needs about {ceil(need)} s"
            return replace(nothing, left_out=f"{why}, has {spare:.0f} s of the budget")
        if not resume or step.name not in budgets:
            budgets[step.name] = 0.0 if given == float("inf") else given
            keep(self.out, self.footing, budgets)
        # The photos are the same for every rung, and have been told of.
        beside: Log = lambda noun: None if isinstance(noun, Dataset) else self.log(noun)  # noqa: E731
        try:
            train(self.dataset, folder, _recipe(step, self.seed, budgets[step.name]), log=beside, resume=resume)
        except (UsageError, OutputError, CheckpointError):
            raise
        except KopalError as error:
            return replace(nothing, left_out=error.happened)
        except KeyboardInterrupt:
            kept = f"what was climbed is kept in {shown(self.out)}\nthe same command goes on from there"
            raise KeyboardInterrupt(kept) from None
        return _read(step, folder)

    def _under_way(self, step: Step) -> bool:
        return (self.folder(step) / CHECKPOINT).is_dir()


def _lacks_torch(step: Step) -> bool:
    return "tune" in step.knobs and not torch_is_there()


def _recipe(step: Step, seed: int, budget: float = 0.0) -> Recipe:
    if not step.knobs:
        return recipe(seed=seed)
    timed = {"budget": budget} if budget else {}
    usual = {} if "tune" in step.knobs else {"epochs": EPOCHS}
    return recipe(seed=seed, **{**usual, **timed, **step.knobs})


def _read(step: Step, folder: Path) -> Rung:
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    if why := (report.get("kept") or {}).get("why"):
        return Rung(step.name, 0.0, (0.0, 1.0), 0, 0.0, 0, left_out=why)
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
