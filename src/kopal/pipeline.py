"""The straight line: a folder of photos → a run with one model file and honest numbers."""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kopal.advise import Advice
from kopal.arrays import softmax
from kopal.audit import Audit, audit, marks
from kopal.audit.leaks import without_twins
from kopal.backends.onnx_backend import classifier_model
from kopal.calibrate import fit_temperature
from kopal.classifier import Classifier
from kopal.consult import at_a_glance, consult
from kopal.datasets import PARTS, Dataset, Labelled, check_learnable, open_dataset
from kopal.errors import UsageError
from kopal.evaluate import Report, evaluate
from kopal.features import Photos
from kopal.fingerprints import fingerprint
from kopal.fit.fitted import Fitted
from kopal.fit.lr_finder import Sweep
from kopal.fit.world import ALONE, World
from kopal.ledger import LedgerRow
from kopal.log import Log, silent
from kopal.model_file import Card
from kopal.recipes import Recipe
from kopal.run import Answers, Run, reserved
from kopal.ways import (
    Circumstances,
    fine_tunes,
    from_features,
    from_pixels,
    from_tuning,
    rate_from_pixels,
    read_features,
    starts_from_imagenet,
    used_knobs,
)


def train(
    data: str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    cache: bool = True,
    log: Log = silent,
    resume: bool = False,
    checkpoint_every: int = 0,
    world: World = ALONE,
    download: bool = False,
) -> Run:
    """Photos in class folders → a run folder with model.onnx and a report. Raises `KopalError` and writes nothing.

    A net that learns from pixels leaves a checkpoint in the run folder after every epoch, and after every
    `checkpoint_every` steps; with `resume` it goes on from there. `world` are the processes that train together: this
    is the first of them, the others call `assist`. `download` lets published weights be fetched, once.
    """
    started = perf_counter()
    if checkpoint_every < 0:
        raise UsageError(f"a checkpoint every {checkpoint_every} steps", "0, only after epochs, or more")
    if starts_from_imagenet(recipe) and not fine_tunes(recipe) and (resume or checkpoint_every):
        raise UsageError(
            "checkpoints of frozen features, which take seconds to fit",
            "a net that learns from pixels",
            "leave out resume and checkpoint_every, or say weights='none'",
        )
    dataset = _opened(data, log)
    with reserved(Path(out) if out is not None else None, dataset.title, resume) as folder:
        around = Circumstances(world, started, cache, folder, checkpoint_every, resume, download)
        learn = from_tuning if fine_tunes(recipe) else from_features if starts_from_imagenet(recipe) else from_pixels
        fitted, photos, rows, findings = learn(recipe, dataset, around, log)
        temperature = calibrate(fitted, photos)
        classifier = assemble(fitted, temperature, photos, recipe)
        report, answers = measure(fitted, temperature, photos)
        advice = at_a_glance(recipe, fitted, photos, report) if isinstance(photos, Photos) else None
        spent = perf_counter() - started
        run = Run(folder, classifier, report, recipe, rows, answers, fitted.history, spent, fitted.heads)
        honest = without_twins(photos, fitted.scores)
        details = _details(fitted, temperature, photos, rows)
        details |= {"without_twins": honest.as_json()} if honest else {}
        details |= {"advice": advice.as_json()} if advice else {}
        run.write(used_knobs(recipe), details | {"audit": findings.as_json()})
    log(run)
    if honest:
        log(honest)
    if advice:
        log(advice)
    return run


def assist(
    data: str | os.PathLike[str] | Dataset,
    recipe: Recipe,
    world: World,
    cache: bool = True,
    resume: bool = False,
    checkpoint_every: int = 0,
) -> None:
    """What every process but the first does in a training by several: learn along, tell nothing, write nothing."""
    started = perf_counter()
    around = Circumstances(world, started, cache, every=checkpoint_every, resume=resume)
    from_pixels(recipe, _opened(data, silent), around, silent)


def find_rate(data: str | os.PathLike[str] | Dataset, recipe: Recipe, cache: bool = True, log: Log = silent) -> Sweep:
    """The sweep over learning rates that a training with these knobs would begin with; nothing is written.

    Raises `KopalError`.
    """
    if starts_from_imagenet(recipe):
        raise UsageError(
            f"a learning rate for --net {recipe.net}, whose features are frozen",
            "a net that learns from pixels",
            "say --net garment, or add --weights none",
        )
    return rate_from_pixels(recipe, _opened(data, log), Circumstances(ALONE, perf_counter(), cache), log)


def advise(data: str | os.PathLike[str] | Dataset, recipe: Recipe, cache: bool = True, log: Log = silent) -> Advice:
    """What to do with these photos, measured on features of the recipe's frozen net; nothing is written.

    Raises `KopalError`.
    """
    if not starts_from_imagenet(recipe):
        raise UsageError(
            f"advice on --net {recipe.net} from scratch: there are no frozen features to measure",
            "a net with pretrained weights",
            "leave out --net and --weights",
        )
    return consult(_opened(data, log), recipe, Circumstances(ALONE, perf_counter(), cache), log)


def audit_photos(
    data: str | os.PathLike[str] | Dataset,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    cache: bool = True,
    log: Log = silent,
) -> Audit:
    """What is wrong with these photos as a set, learnable or not; nothing is written. Raises `KopalError`."""
    if not starts_from_imagenet(recipe):
        raise UsageError(
            f"an audit by net {recipe.net}: it has no features before it is trained", "a net with pretrained weights"
        )
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    log(dataset)
    _, photos, rows = read_features(recipe, dataset, Circumstances(ALONE, perf_counter(), cache), log, fits=False)
    return audit(photos, rows, photos.features)[0]


def _opened(data: str | os.PathLike[str] | Dataset, log: Log) -> Dataset:
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    log(dataset)
    check_learnable(dataset.classes, dataset.counts("train"))
    return dataset


def calibrate(fitted: Fitted, photos: Labelled) -> float:
    """The temperature: from the owner's calibration part if there is one, else from the out-of-fold scores."""
    part = photos.where("calibration")
    part = part if part.any() else photos.where("train")
    return fit_temperature(fitted.scores[part], photos.labels[part])


def measure(fitted: Fitted, temperature: float, photos: Labelled) -> tuple[Report, Answers]:
    """The report on the owner's test part if there is one, else on every photo out of fold."""
    part = photos.where("test")
    measured_on = "test part" if part.any() else "out of fold"
    part = part if part.any() else photos.where("train")
    scores, labels = fitted.scores[part], photos.labels[part]
    names = tuple(name for name, chosen in zip(photos.names, part, strict=True) if chosen)
    probabilities = softmax(scores / np.float32(temperature)).astype(np.float32)
    return evaluate(scores, labels, temperature, photos.classes, measured_on), Answers(names, labels, probabilities)


def assemble(fitted: Fitted, temperature: float, photos: Labelled, recipe: Recipe) -> Classifier:
    """Net, weights and temperature as one model file."""
    classes = photos.classes
    model = classifier_model(fitted.net, fitted.weights, temperature, len(classes))
    provenance: dict[str, Any] = {
        "kopal": version("kopal"),
        "photos": int(photos.where("train").sum()),
        "data_sha256": fingerprint(photos),
        "learned_from": marks(photos.digests[index] for index in np.flatnonzero(photos.where("train"))),
        "recipe": used_knobs(recipe),
    }
    if fitted.origin:
        provenance["weights"] = dict(fitted.origin)
    return Classifier.build(model, Card(fitted.net.name, classes, fitted.geometry, temperature, (), provenance))


def _details(fitted: Fitted, temperature: float, photos: Labelled, rows: tuple[LedgerRow, ...]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "photos": {part: int(photos.where(part).sum()) for part in PARTS},
        "unreadable": len(rows),
        "net": fitted.net.name,
        "temperature": temperature,
        "kopal": version("kopal"),
    }
    if fitted.origin:
        details["weights"] = dict(fitted.origin)
    if fitted.kept:
        details |= {"penalty": fitted.penalty, "kept": asdict(fitted.kept)}
    if fitted.kept and not fitted.history:
        return details | {"epochs": 0, "best_epoch": 0, "rate": fitted.rate, "stopped": "it diverged"}
    if fitted.history:
        return details | {
            "epochs": len(fitted.history),
            "best_epoch": max((epoch.number for epoch in fitted.history if epoch.best), default=0),
            "rate": fitted.rate,
            "stopped": fitted.history[-1].stopped,
        }
    out_of_fold = photos.where("train")
    right = fitted.scores[out_of_fold].argmax(axis=1) == photos.labels[out_of_fold]
    if fitted.heads:
        details["heads"] = [asdict(row) for row in fitted.heads]
    if fitted.holds:
        details["holds"] = fitted.holds
    chosen = {"penalty": fitted.penalty} if fitted.head == "logistic" else {"option": fitted.option}
    return details | {
        "head": fitted.head,
        **chosen,
        "out_of_fold_accuracy": float(right.mean()),
        "contenders": [asdict(row) for row in fitted.contenders],
    }
