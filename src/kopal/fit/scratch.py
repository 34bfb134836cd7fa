"""Learning a whole net from pixels: 80 / 10 / 10 parts, validation carved from train, the best weights kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from kopal.autograd import initialise
from kopal.datasets import PARTS, Dataset
from kopal.errors import UsageError
from kopal.fit import engine, linear
from kopal.fit.loop import Epoch, Learner, Photographs, epochs
from kopal.fit.normalise import Normalisation, measure
from kopal.images import FULL_SIDE, Geometry
from kopal.nets.describe import describe
from kopal.nets.layers import Chain, Normalize
from kopal.nets.linear import linear as linear_net
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.pixels import PixelPhotos, native_shape
from kopal.recipes import Recipe
from kopal.schedules import SCHEDULES
from kopal.splits import parts
from kopal.stopping import AnyOf, MaxSteps, NoImprovement, Rule, Settled

HELD = 0.1
ANY_SIZE = ("linear", "mlp")
ANY_COLOUR = (*ANY_SIZE, "lenet5", "garment")
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Course:
    """What is about to be trained, and what an epoch will take here, from one step on one batch."""

    net: Net
    parameters: int
    engine: str
    photos: int
    validation: int
    epochs: int
    epoch_seconds: float


@dataclass(frozen=True)
class Learned:
    """A net with its best weights, and how it came to them."""

    net: Net
    weights: Weights
    history: tuple[Epoch, ...]


def geometry(recipe: Recipe, dataset: Dataset) -> Geometry:
    """The pixels to learn from: --image-size, else small photos' own size where the net takes any, else the net's."""
    usual = build(recipe.net)
    native = native_shape(dataset) or usual.image
    height, width, channels = usual.image
    if recipe.image_size:
        height = width = recipe.image_size
    elif recipe.net in ANY_SIZE and max(native[:2]) <= FULL_SIDE:
        height, width, _ = native
    return Geometry(height, width, 3 if channels == 3 and recipe.net not in ANY_COLOUR else native[2])


def in_parts(photos: PixelPhotos, seed: int) -> PixelPhotos:
    """The photos with calibration and test carved from train where the owner brought none: 80 / 10 / 10."""
    missing = [part for part in PARTS[1:] if not photos.where(part).any()]
    if not missing:
        return photos
    train = np.flatnonzero(photos.where("train"))
    dealt = parts(
        photos.labels[train], [photos.digests[index] for index in train], [HELD] * len(missing), seed, photos.classes
    )
    own = photos.parts.astype(f"<U{max(map(len, PARTS))}")
    for number, part in enumerate(missing, start=1):
        own[train[dealt == number]] = part
    return replace(photos, parts=own)


def learn(
    recipe: Recipe,
    photos: PixelPhotos,
    log: Callable[[Course | Epoch], None],
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Learned:
    """Train on the train part; a tenth of it, no twin on both sides, validates. Photos of other parts are not seen."""
    train = photos.where("train")
    labels = photos.labels[train]
    validates = parts(labels, list(compress(photos.digests, train)), [HELD], recipe.seed, photos.classes) == 1
    pixels = photos.pixels[train]
    learning, validation = (Photographs(pixels[chosen], labels[chosen]) for chosen in (~validates, validates))
    del pixels
    rng = np.random.default_rng(recipe.seed)
    normalisation = measure(learning.pixels, recipe.normalise)
    net, learner, finish = _start(recipe, photos, normalisation, rng)
    seconds = _epoch_seconds(_start(recipe, photos, normalisation, np.random.default_rng(0))[1], learning, recipe)
    parameters = sum(row.parameters for row in describe(net))
    log(Course(net, parameters, "numpy", len(learning), len(validation), recipe.epochs, seconds))
    history: list[Epoch] = []
    best = learner.weights()
    rule, seed = stopping(recipe), recipe.seed
    for epoch in epochs(learner, learning, validation, recipe.batch, rates(recipe), rule, seed, recipe.balance, step):
        history.append(epoch)
        if epoch.best:
            best = learner.weights()
        log(epoch)
    return Learned(net, finish(best), tuple(history))


def rates(recipe: Recipe) -> Callable[[float], float]:
    """The learning rate after so many epochs."""
    schedule = SCHEDULES[recipe.schedule]
    return lambda epochs_done: recipe.rate * schedule(epochs_done / recipe.epochs)


def stopping(recipe: Recipe) -> Rule:
    """The recipe's three rules as one."""
    rules: list[Rule] = [MaxSteps(recipe.epochs, "epochs")]
    if recipe.patience:
        rules.append(NoImprovement(recipe.patience, unit="epochs"))
    if recipe.settled:
        rules.append(Settled(recipe.settled))
    return AnyOf(tuple(rules))


def _start(
    recipe: Recipe, photos: PixelPhotos, normalisation: Normalisation, rng: np.random.Generator
) -> tuple[Net, Learner, Callable[[Weights], Weights]]:
    """The net, its learner, and how the learner's weights become the net's."""
    image: tuple[int, int, int] = photos.pixels.shape[1:]
    classes = len(photos.classes)
    if recipe.net == "linear":
        w, b = linear.start(rng, classes, int(np.prod(image)))
        if recipe.init != "normal":
            w, b = initialise(recipe.init, rng, w.shape), np.zeros_like(b)
        learner = linear.LinearLearner(normalisation, w, b, recipe.momentum, recipe.penalty)
        return (
            linear_net(classes, image),
            learner,
            lambda best: linear.as_net_weights(best["w"], best["b"], normalisation, image),
        )
    net = _normalised(build(recipe.net, classes, image), normalisation)
    weights = engine.start(net, rng, recipe.init)
    return net, engine.EngineLearner(net, weights, rng, recipe.momentum, recipe.penalty), lambda best: best


def _normalised(net: Net, normalisation: Normalisation) -> Net:
    """The net with the training photos' own mean and deviation in place of the published ones."""
    if normalisation.mean.ndim > 1:
        raise UsageError(
            "a mean image with a convolutional net", "--normalise pixel or channel: a net may see any part"
        )
    mean, std = (tuple(float(value) / 255 for value in part) for part in (normalisation.mean, normalisation.deviation))
    first, *rest = net.body.layers
    if not isinstance(first[1], Normalize):
        rest = [first, *rest]
    return replace(net, body=Chain((("normalize", Normalize(mean, std)), *rest)))


def _epoch_seconds(learner: Learner, learning: Photographs, recipe: Recipe) -> float:
    batch = min(recipe.batch, len(learning))
    learner.learn(learning.pixels[:batch], learning.labels[:batch], recipe.rate)
    started = perf_counter()
    learner.learn(learning.pixels[:batch], learning.labels[:batch], recipe.rate)
    return (perf_counter() - started) * len(learning) / batch
