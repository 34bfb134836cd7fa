"""The rows of a linear classifier's w, which are images of what each class looks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.classifier import Classifier
from kopal.errors import ModelFileError, UsageError


def linear_weights(classifier: Classifier) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """W (K, D) and b (K,) for pixels 0..255 in planes (C, H, W): the graph's normalisation is folded in."""
    if classifier.card.net != "linear":
        raise UsageError(
            f"net {classifier.card.net} has no templates",
            "a model of net linear: only there each class has one weight for each number of a photo",
            "name a photo, whose answer is explained; or kopal train PHOTOS --net linear",
        )
    constants = classifier.constants()
    try:
        weight, bias = (np.asarray(constants[f"head.{name}"], np.float64) for name in ("weight", "bias"))
        scale, shift = (float(constants[f"normalize.{name}"].item()) for name in ("scale", "shift"))
        weight, bias = (
            weight.reshape(len(classifier.classes), int(np.prod(classifier.geometry.shape))),
            bias.reshape(len(classifier.classes)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError("a model that calls itself linear lacks its w and b", *_TRAIN_ANEW) from error
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ModelFileError("the model's weights are not all finite", *_TRAIN_ANEW)
    return weight * scale, bias + shift * weight.sum(axis=1)


_TRAIN_ANEW = "a model.onnx as kopal writes it", "train anew with kopal train --net linear"
