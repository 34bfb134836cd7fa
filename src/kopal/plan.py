"""What a training will cost on this machine, measured in a fraction of a second before it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from kopal import images
from kopal.datasets import Dataset
from kopal.errors import UnreadableImage
from kopal.features import Backbone
from kopal.fit.probe import FOLDS_AT_ONCE
from kopal.model_file import golden_pixels
from kopal.parallel import MAX_WORKERS, cores
from kopal.recipes import HeadName, Recipe
from kopal.store import Store

SAMPLE = 8
STEPS_PER_PENALTY = 14
"""Evaluations that L-BFGS needs per penalty on its warm-started path (measured: 9 to 17 on four data sets)."""


@dataclass(frozen=True)
class Plan:
    """`cached` is the share of a sample of photos whose features are known; seconds are estimates.

    Those of fitting are of a softmax regression, 0 for another `head`.
    """

    net: str
    photos: int
    cached: float
    reading_seconds: float
    fitting_seconds: float
    head: HeadName = "logistic"


def plan(dataset: Dataset, backbone: Backbone, store: Store | None, recipe: Recipe) -> Plan:
    """Time a few photos, one run of the net and one product of matrices, and multiply."""
    known, decode = 0, 0.0
    chosen = np.unique(np.linspace(0, len(dataset) - 1, SAMPLE).astype(int))
    for index in chosen:
        started = perf_counter()
        try:
            data = dataset.read(int(index))
            digest = hashlib.sha256(data).digest()
            if store and store.get([digest]):
                known += 1
            images.fit(images.decode(data, backbone.geometry), backbone.geometry)
        except UnreadableImage:
            pass
        decode += perf_counter() - started
    cached = known / len(chosen)
    decode /= len(chosen)
    net = net_seconds(backbone)
    missing = len(dataset) * (1 - cached)
    reading = (missing * (decode + net) + len(dataset) * 0.1 * decode) / min(cores(), MAX_WORKERS)
    fitting = fitting_seconds(dataset, backbone, recipe) if recipe.head == "logistic" else 0.0
    numbers = "" if recipe.features == Recipe.features else f" in {recipe.features}"
    return Plan(backbone.net.name + numbers, len(dataset), cached, reading, fitting, recipe.head)


def net_seconds(backbone: Backbone) -> float:
    """Seconds of one core that the net takes for a photo."""
    pixels = golden_pixels(backbone.geometry)
    backbone.features(pixels[:1])
    started = perf_counter()
    backbone.features(pixels)
    return (perf_counter() - started) / len(pixels)


def fitting_seconds(dataset: Dataset, backbone: Backbone, recipe: Recipe) -> float:
    """Seconds to choose and fit a head, from a few products of matrices."""
    features = np.ones((1024, backbone.dimension), np.float32)
    head = np.ones((backbone.dimension, len(dataset.classes)), np.float32)
    with threadpool_limits(1, user_api="blas"):  # as the folds are fitted
        one_pass = _best(lambda: features @ head) * len(dataset) / len(features)
    per_operation = operation_seconds()
    # Standardise and turn: the covariance, the product with the axes, and the axes themselves (about 20 n D²).
    rows, side = len(dataset), backbone.dimension
    small, large = sorted((rows, side))
    turning = per_operation * (2 * rows * side * small + 20 * small * small * min(large, side))
    # Two products per evaluation and the softmax between them.
    a_fold = len(recipe.penalties) * STEPS_PER_PENALTY * 4 * one_pass + turning
    return a_fold * (1 + recipe.folds / min(cores(), FOLDS_AT_ONCE))


def operation_seconds() -> float:
    """Seconds of one core for a multiplication and an addition, in a product of large matrices."""
    square = np.ones((512, 512), np.float32)
    with threadpool_limits(1, user_api="blas"):
        return _best(lambda: square @ square) / 512**3


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs: the others had company."""
    times = []
    for _ in range(3):
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return min(times)
