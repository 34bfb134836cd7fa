"""A small classifier that promises: sets of candidates, a floor below which it is unsure, and what is unknown."""

from __future__ import annotations

import numpy as np

from attacks import CLASSES, GEOMETRY
from kopal import images
from kopal.backends.onnx_backend import classifier_model
from kopal.backends.onnx_head import before_head, head_input
from kopal.backends.onnx_unknown import with_unknown
from kopal.classifier import Classifier, run_session, session
from kopal.model_file import Card
from kopal.nets.linear import linear
from kopal.novelty import Spread, fit_novelty
from serving import photo

KNOWN = 8
"""The photos of the first seeds are what it knows; all others are unknown to it."""


def careful(classes: tuple[str, ...] = CLASSES) -> Classifier:
    """It is unsure of some photos, and of none of the classes finds all but its own."""
    rng, wide = np.random.default_rng(0), int(np.prod(GEOMETRY.shape))
    weights = {
        "head.weight": rng.normal(size=(len(classes), wide)).astype(np.float32),
        "head.bias": rng.normal(size=len(classes)).astype(np.float32),
    }
    model = classifier_model(linear(len(classes), GEOMETRY.shape), weights, 3.0, len(classes))
    known = np.stack([images.read(photo(seed), GEOMETRY) for seed in range(KNOWN)])
    features = run_session(session(before_head(model).SerializeToString()), known, GEOMETRY)[0]
    nothing = Spread(np.empty((0, wide), np.float32), np.empty(0), 0.0)
    way = fit_novelty(features, features.mean(axis=0), nothing, 1.0, 1)
    floor = {"max_error": 0.1, "confidence": 0.6, "photos": 300, "accepted": 250, "errors": 1, "bound": 0.05}
    sets = {"asked": 0.9, "method": "lac", "levels": [0.9], "thresholds": [[0.7]], "photos": [50], "out_of_fold": False}
    thresholds = {"unknown": {"threshold": 1.0}, "coverage": sets, "max_error": floor}
    card = Card("linear", classes, GEOMETRY, 3.0, provenance={"made": "by a test"}, thresholds=thresholds)
    return Classifier.build(with_unknown(model, way, 0.2, head_input(model.graph)), card)
