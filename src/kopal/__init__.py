"""kopal: a folder of labelled photos becomes a classifier that its owner can trust, explain and ship.

>>> import kopal
>>> run = kopal.train("photos/")                                   # doctest: +SKIP
>>> kopal.load("runs/photos-1/model.onnx").predict_files(["a.jpg"])  # doctest: +SKIP

Names are imported when they are first used, so that `import kopal` itself costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Unasked, ONNX Runtime 1.32 writes an identifier of the machine into the cache and sends events to its makers
# (its Privacy.md). What kopal sees stays where it is; whoever wants otherwise sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from kopal import images
    from kopal.classifier import Classifier, load
    from kopal.datasets import Dataset, open_dataset
    from kopal.ensemble import combine
    from kopal.errors import KopalError
    from kopal.evaluate import Report
    from kopal.images import Geometry
    from kopal.pipeline import train
    from kopal.prediction import Prediction
    from kopal.recipes import Recipe, recipe
    from kopal.run import Run

_HOMES = {
    "Classifier": "classifier",
    "Dataset": "datasets",
    "Geometry": "images",
    "KopalError": "errors",
    "Prediction": "prediction",
    "Recipe": "recipes",
    "Report": "evaluate",
    "Run": "run",
    "combine": "ensemble",
    "load": "classifier",
    "open_dataset": "datasets",
    "recipe": "recipes",
    "train": "pipeline",
}

__all__ = [
    "Classifier",
    "Dataset",
    "Geometry",
    "KopalError",
    "Prediction",
    "Recipe",
    "Report",
    "Run",
    "combine",
    "images",
    "load",
    "open_dataset",
    "recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "images":
        return import_module("kopal.images")
    if name not in _HOMES:
        raise AttributeError(f"module 'kopal' has no attribute {name!r}")
    return getattr(import_module(f"kopal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
