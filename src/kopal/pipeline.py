"""The straight line: a folder of photos → a run with one model file and honest numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np

from kopal import rehearsal
from kopal.advise import Advice
from kopal.audit import Audit, audit, marks, suspicious_findings
from kopal.audit.leaks import without_twins
from kopal.backends.onnx_backend import classifier_model
from kopal.backends.onnx_unknown import with_unknown
from kopal.classifier import Classifier
from kopal.consult import at_a_glance, consult
from kopal.datasets import PARTS, Data, Dataset, Labelled, check_groups, check_learnable, open_dataset
from kopal.errors import DataError, UsageError
from kopal.evaluate import Report, evaluate
from kopal.features import Photos
from kopal.fingerprints import fingerprint
from kopal.fit.fitted import Fitted
from kopal.fit.heads.learn import learn
from kopal.fit.lr_finder import Sweep
from kopal.fit.world import ALONE, World
from kopal.ledger import LedgerRow
from kopal.log import Log, Progress, silent
from kopal.model_file import UNKNOWN, Card
from kopal.outset import check_start
from kopal.promises import calibration_part, checked, kept, promised
from kopal.recipes import Recipe
from kopal.repeat import how_read
from kopal.report.page import run_page, whereabouts
from kopal.run import Run, check_free, reserved
from kopal.run_tables import Answers
from kopal.trust.calibrate import fit_temperature
from kopal.trust.promise import Promise, in_names
from kopal.trust.reliability import probabilities_of
from kopal.unknown import Unknown, fit_unknown
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
    data: Data,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    cache: bool = True,
    log: Log = silent,
    resume: bool = False,
    checkpoint_every: int = 0,
    world: World = ALONE,
    download: bool = False,
    labels_from: str | None = None,
    group: str | None = None,
) -> Run:
    """Photos → a run folder with model.onnx and a report. Raises `KopalError` and writes nothing.

    `data`, `labels_from` and `group` are those of `open_dataset`: class folders, a table, (image, label) pairs.
    A net that learns from pixels leaves a checkpoint in the run folder after every epoch, and after every
    `checkpoint_every` steps; with `resume` it goes on from there. `world` are the processes that train together: this
    is the first of them, the others call `assist`. `download` lets published weights be fetched, once.
    """
    started = perf_counter()
    check_start(recipe, resume, checkpoint_every)
    dataset = _opened(open_dataset(data, labels_from, group), log)
    with reserved(Path(out) if out is not None else None, dataset.title, resume) as folder:
        around = Circumstances(world, started, cache, folder, checkpoint_every, resume, download)
        way = from_tuning if fine_tunes(recipe) else from_features if starts_from_imagenet(recipe) else from_pixels
        fitted, photos, rows, findings = way(recipe, dataset, around, log)
        temperature = calibrate(fitted, photos)
        findings = findings.plus(suspicious_findings(photos, fitted.scores, temperature, fitted.features))
        log(findings)
        promise = promised(fitted.scores, temperature, photos, recipe)
        unknown = fit_unknown(fitted, photos, recipe.seed, log) if recipe.unknown else None
        thresholds = kept(promise, fitted.scores, temperature, photos)
        classifier = assemble(fitted, temperature, photos, recipe, thresholds, unknown)
        report, answers = measure(fitted, temperature, photos, promise, unknown)
        report = checked(report, promise, fitted.scores, temperature, photos, recipe)
        advice = at_a_glance(recipe, fitted, photos, report) if isinstance(photos, Photos) else None
        spent = perf_counter() - started
        run = Run(folder, classifier, report, recipe, rows, answers, fitted.history, spent, fitted.heads)
        honest = without_twins(photos, fitted.scores)
        details = _details(fitted, temperature, photos, rows) | {
            "title": dataset.title,
            "data": whereabouts(dataset.origin),
            "reading": how_read(dataset),
            "audit": findings.as_json(),
            "unknown": unknown.as_json() if unknown else None,
            **({"without_twins": honest.as_json()} if honest else {}),
            **({"advice": advice.as_json()} if advice else {}),
        }
        run.write(used_knobs(recipe), details, photos, partial(run_page, folder, dataset.source, classifier=classifier))
    log(run)
    if honest:
        log(honest)
    if advice:
        log(advice)
    return run


def assist(
    data: Data,
    recipe: Recipe,
    world: World,
    cache: bool = True,
    resume: bool = False,
    checkpoint_every: int = 0,
) -> None:
    """What every process but the first does in a training by several: learn along, tell nothing, write nothing."""
    check_start(recipe, resume, checkpoint_every)
    around = Circumstances(world, perf_counter(), cache, every=checkpoint_every, resume=resume)
    from_pixels(recipe, _opened(data, silent), around, silent)


def find_rate(data: Data, recipe: Recipe, cache: bool = True, log: Log = silent) -> Sweep:
    """The sweep over learning rates that a training with these knobs would begin with; nothing is written.

    Raises `KopalError`.
    """
    check_start(recipe)
    if starts_from_imagenet(recipe):
        raise UsageError(
            f"a learning rate for --net {recipe.net}, whose features are frozen",
            "a net that learns from pixels",
            "say --net garment, or add --weights none",
        )
    return rate_from_pixels(recipe, _opened(data, log), Circumstances(ALONE, perf_counter(), cache), log)


def advise(data: Data, recipe: Recipe, cache: bool = True, log: Log = silent) -> Advice:
    """What to do with these photos, measured on features of the recipe's frozen net; nothing is written.

    Raises `KopalError`.
    """
    check_start(recipe)
    if not starts_from_imagenet(recipe):
        raise UsageError(
            f"advice on --net {recipe.net} from scratch: there are no frozen features to measure",
            "a net with pretrained weights",
            "leave out --net and --weights",
        )
    return consult(_opened(data, log), recipe, Circumstances(ALONE, perf_counter(), cache), log)


def rehearse(
    data: Data,
    recipe: Recipe,
    cache: bool = True,
    log: Log = silent,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: int = 0,
) -> None:
    """What `train` would find, do and cost, told to `log`; nothing is learned, and nothing written.

    Raises `KopalError`, as the training would at its start.
    """
    check_start(recipe, resume, checkpoint_every)
    dataset = _opened(data, log)
    check_free(Path(out) if out is not None else None, resume)
    rehearsal.rehearse(recipe, dataset, Circumstances(ALONE, perf_counter(), cache), log)


def audit_photos(
    data: Data,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    cache: bool = True,
    log: Log = silent,
) -> Audit:
    """What is wrong with these photos as a set, learnable or not; nothing is written. Raises `KopalError`."""
    check_start(recipe)
    if not starts_from_imagenet(recipe):
        raise UsageError(
            f"an audit by net {recipe.net}: it has no features before it is trained", "a net with pretrained weights"
        )
    log(dataset := open_dataset(data))
    around = Circumstances(ALONE, perf_counter(), cache)
    backbone, photos, rows = read_features(recipe, dataset, around, log, fits=False)
    found, groups = audit(photos, rows, photos.features)
    photos = replace(photos, groups=groups)
    try:
        check_learnable(photos.classes, np.bincount(photos.labels, minlength=len(photos.classes)).tolist())
        fitted = learn(recipe, photos, backbone, lambda done, of: log(Progress("steps of fitting", done, of)))
    except DataError:
        # Of photos that nothing can be learned from there are no answers that could speak against a label.
        return found
    return found.plus(suspicious_findings(photos, fitted.scores, calibrate(fitted, photos), fitted.features))


def _opened(data: Data, log: Log) -> Dataset:
    dataset = open_dataset(data)
    log(dataset)
    check_learnable(dataset.classes, dataset.counts("train"))
    check_groups(dataset)
    return dataset


def calibrate(fitted: Fitted, photos: Labelled) -> float:
    """The temperature: from the owner's calibration part if there is one, else from the out-of-fold scores."""
    part = calibration_part(photos)
    return fit_temperature(fitted.scores[part], photos.labels[part])


def measure(
    fitted: Fitted, temperature: float, photos: Labelled, promise: Promise, unknown: Unknown | None
) -> tuple[Report, Answers]:
    """The report on the owner's test part if there is one, else on every photo out of fold."""
    part = photos.where("test")
    measured_on = "test part" if part.any() else "out of fold"
    part = part if part.any() else photos.where("train")
    scores, labels = fitted.scores[part], photos.labels[part]
    names = tuple(name for name, chosen in zip(photos.names, part, strict=True) if chosen)
    probabilities = probabilities_of(scores, temperature)
    said = in_names(promise, probabilities, photos.classes)
    if unknown:
        said = tuple(UNKNOWN if far > 1 else words for far, words in zip(unknown.far[part], said, strict=True))
    answers = Answers(names, labels, probabilities, said)
    return evaluate(scores, labels, temperature, photos.classes, measured_on), answers


def assemble(
    fitted: Fitted,
    temperature: float,
    photos: Labelled,
    recipe: Recipe,
    thresholds: Mapping[str, Any] = MappingProxyType({}),
    unknown: Unknown | None = None,
) -> Classifier:
    """Net, weights, temperature, thresholds and what tells unknown photos as one model file."""
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
    card = Card(fitted.net.name, classes, fitted.geometry, temperature, (), provenance, thresholds)
    if unknown:
        model = with_unknown(model, unknown.novelty, unknown.limit, unknown.features)
        card = replace(card, thresholds={**thresholds, UNKNOWN: unknown.as_json()})
    return Classifier.build(model, card)


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
        why = fitted.kept.why or "it diverged"
        return details | {"epochs": 0, "best_epoch": 0, "rate": fitted.rate, "stopped": why}
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
