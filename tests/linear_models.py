"""Small linear classifiers without any training, for tests of what is done with finished models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import numpy_helper

from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.images import Geometry
from kopal.model_file import Card
from kopal.nets.linear import linear

SMALL = Geometry(4, 5, 3)
TEN = tuple(f"class {number}" for number in range(10))


def model(
    seed: int = 0,
    classes: tuple[str, ...] = TEN,
    geometry: Geometry = SMALL,
    net: str = "linear",
    bias: Sequence[float] | None = None,
    **provenance: object,
) -> Classifier:
    """A linear classifier with weights and a temperature of its own; with a bias, one that sees nothing else."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(geometry.shape))
    weights = {
        "head.weight": rng.normal(size=(len(classes), size)).astype(np.float32) * (bias is None),
        "head.bias": np.array(rng.normal(size=len(classes)) if bias is None else bias, np.float32),
    }
    temperature = 1.0 if bias is not None else 0.5 + seed
    graph = classifier_model(linear(len(classes), geometry.shape), weights, temperature, len(classes))
    return Classifier.build(graph, Card(net, classes, geometry, temperature, (), provenance))


def reordered(classifier: Classifier, order: Sequence[int]) -> Classifier:
    """The same classifier with its columns in another order, in the graph and on the card."""
    graph = classifier.graph()
    for tensor in graph.graph.initializer:
        if tensor.name.startswith("head."):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[[*order]], tensor.name))
    card = classifier.card
    return Classifier.build(graph, replace(card, classes=tuple(card.classes[place] for place in order)))


def pixels(classifier: Classifier, count: int = 50) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *classifier.geometry.shape), dtype=np.uint8)
