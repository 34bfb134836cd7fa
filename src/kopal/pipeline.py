"""The straight line: a folder of photos → a run with one model file and honest numbers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from kopal import audit
from kopal.arrays import softmax
from kopal.backends.onnx_backend import classifier_model
from kopal.calibrate import fit_temperature
from kopal.classifier import Classifier, run_session, session
from kopal.datasets import FEWEST, PARTS, Dataset, Labelled, check_learnable, open_dataset
from kopal.errors import UsageError
from kopal.evaluate import Report, evaluate
from kopal.features import Backbone, read
from kopal.fit import scratch
from kopal.fit.fitted import Fitted
from kopal.fit.frozen import fit
from kopal.ledger import LedgerRow
from kopal.model_file import Card
from kopal.nets.registry import build
from kopal.nets.weights import PRETRAINED, pretrained_weights
from kopal.parallel import ordered
from kopal.pixels import read_pixels
from kopal.plan import plan
from kopal.recipes import OF_FEATURES, OF_PIXELS, Recipe
from kopal.run import Answers, Run, reserved
from kopal.store import Store, cache_folder


@dataclass(frozen=True)
class Progress:
    """A long step on its way: `done` of `total` units of `what`."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Ledger:
    """All that could not be read, told before the fitting starts; `complete` where no ledger.csv will list it."""

    rows: tuple[LedgerRow, ...]
    photos: int
    complete: bool = False


@dataclass(frozen=True)
class Note:
    """A line that the owner should read, such as a cache that cannot be used."""

    text: str


SCORED_AT_ONCE = 256

Log = Callable[[object], None]
"""Is handed each noun as it comes into being: Dataset, Plan, Progress, Ledger, Note, Course, Epoch, Fitted, Run."""


def silent(noun: object) -> None:
    """The log of someone who wants the result only."""


def train(
    data: str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    cache: bool = True,
    log: Log = silent,
) -> Run:
    """Photos in class folders → a run folder with model.onnx and a report. Raises `KopalError` and writes nothing."""
    started = perf_counter()
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    log(dataset)
    check_learnable(dataset.classes, dataset.counts("train"))
    with reserved(Path(out) if out is not None else None, dataset.title) as folder:
        learn = from_features if starts_from_imagenet(recipe) else from_pixels
        fitted, photos, rows = learn(recipe, dataset, cache, log)
        temperature = calibrate(fitted, photos)
        classifier = assemble(fitted, temperature, photos, recipe)
        report, answers = measure(fitted, temperature, photos)
        run = Run(folder, classifier, report, recipe, rows, answers, fitted.history, perf_counter() - started)
        run.write(used_knobs(recipe), _details(fitted, temperature, photos, rows))
    log(run)
    return run


def _tell(photos: Labelled, rows: tuple[LedgerRow, ...], dataset: Dataset, log: Log) -> None:
    """What was left out and what is odd, before the fitting; stops where too little is left."""
    enough = min(_counts(photos)) >= FEWEST
    log(Ledger(rows, len(dataset), complete=not enough))
    check_learnable(photos.classes, _counts(photos), "readable photos")
    audit.check_different(photos)
    for remark in audit.remarks(photos):
        log(Note(remark))


def starts_from_imagenet(recipe: Recipe) -> bool:
    """Whether a recipe takes the features of a pretrained net: where it says so, or where a package carries them."""
    return recipe.weights == "imagenet" or (recipe.weights == "auto" and recipe.net in PRETRAINED)


def used_knobs(recipe: Recipe) -> dict[str, Any]:
    """The recipe without the knobs that its way of learning does not have."""
    return recipe.as_json(without=OF_PIXELS if starts_from_imagenet(recipe) else OF_FEATURES)


Learned = tuple[Fitted, Labelled, tuple[LedgerRow, ...]]


def from_features(recipe: Recipe, dataset: Dataset, cache: bool, log: Log) -> Learned:
    """A head on the features of a frozen, pretrained net, computed once and kept."""
    backbone = embedded_backbone(recipe.net)
    with closing(Store(cache_folder(), backbone.context)) if cache else nullcontext() as store:
        log(plan(dataset, backbone, store, recipe))
        photos, rows = read(dataset, backbone, store, lambda done, of: log(Progress("photos", done, of)))
        if store and store.fault:
            log(Note(store.fault))
    _tell(photos, rows, dataset, log)
    fitted = fit(recipe, photos, backbone, lambda done, of: log(Progress("steps of fitting", done, of)))
    log(fitted)
    return fitted, photos, rows


def from_pixels(recipe: Recipe, dataset: Dataset, cache: bool, log: Log) -> Learned:
    """A whole net, trained from pixels; calibration and test are scored by the very graph that is saved."""
    geometry = scratch.geometry(recipe, dataset)
    photos, rows = read_pixels(dataset, geometry, lambda done, of: log(Progress("photos", done, of)))
    _tell(photos, rows, dataset, log)
    photos = scratch.in_parts(photos, recipe.seed)
    with np.errstate(all="ignore"):  # a rate too high overflows; the loop says so once and in words
        learned = scratch.learn(recipe, photos, log, lambda done, of: log(Progress("photos of the epoch", done, of)))
    scores = np.full((len(photos), len(photos.classes)), np.nan, np.float32)
    held = np.flatnonzero(~photos.where("train"))
    graph = session(classifier_model(learned.net, learned.weights, 1.0, len(photos.classes)).SerializeToString())
    batches = (held[first : first + SCORED_AT_ONCE] for first in range(0, len(held), SCORED_AT_ONCE))
    for batch, found in ordered(lambda rows: (rows, run_session(graph, photos.pixels[rows], geometry)[0]), batches):
        scores[batch] = found
    return Fitted(learned.net, learned.weights, geometry, scores, history=learned.history), photos, rows


def embedded_backbone(name: str) -> Backbone:
    """The frozen net of that name with the weights that its package carries, cut before its head."""
    if name not in PRETRAINED:
        raise UsageError(f"net {name!r} has no embedded weights", f"one of: {', '.join(PRETRAINED)}")
    net = build(name)
    weights = pretrained_weights(net)
    body = net.without_head()
    kept = {key: value for key, value in weights.items() if not key.startswith("head.")}
    return Backbone(body, kept, PRETRAINED[name].geometry)


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
        "learned_from": audit.marks(photos.digests[index] for index in np.flatnonzero(photos.where("train"))),
        "recipe": used_knobs(recipe),
    }
    if starts_from_imagenet(recipe) and fitted.net.name in PRETRAINED:
        source = PRETRAINED[fitted.net.name]
        provenance["weights"] = {"source": source.source, "licence": source.licence, "sha256": source.sha256}
    return Classifier.build(model, Card(fitted.net.name, classes, fitted.geometry, temperature, (), provenance))


def fingerprint(photos: Labelled) -> str:
    """sha256 over the content, class and part of every photo, whatever the files are called and in whatever order."""
    rows = sorted(
        digest + photos.classes[label].encode("utf-8", "backslashreplace") + b"\0" + str(part).encode()
        for digest, label, part in zip(photos.digests, photos.labels, photos.parts, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _counts(photos: Labelled) -> list[int]:
    counts = np.bincount(photos.labels[photos.where("train")], minlength=len(photos.classes))
    return [int(count) for count in counts]


def _details(fitted: Fitted, temperature: float, photos: Labelled, rows: tuple[LedgerRow, ...]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "photos": {part: int(photos.where(part).sum()) for part in PARTS},
        "unreadable": len(rows),
        "net": fitted.net.name,
        "temperature": temperature,
        "kopal": version("kopal"),
    }
    if fitted.history:
        best = min(fitted.history, key=lambda epoch: epoch.validation_loss)
        return details | {
            "epochs": len(fitted.history),
            "best_epoch": best.number,
            "stopped": fitted.history[-1].stopped,
        }
    out_of_fold = photos.where("train")
    right = fitted.scores[out_of_fold].argmax(axis=1) == photos.labels[out_of_fold]
    return details | {
        "penalty": fitted.penalty,
        "out_of_fold_accuracy": float(right.mean()),
        "contenders": [asdict(row) for row in fitted.contenders],
    }
