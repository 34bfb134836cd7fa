"""The multi-layer perceptron: fully connected layers with an activation after each but the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from kopal.errors import UsageError
from kopal.nets.layers import Activation, ActivationName, Chain, Flatten, Layer, Linear, Normalize
from kopal.nets.net import Net


def mlp(widths: Sequence[int], classes: int, image: tuple[int, int, int], activation: ActivationName = "relu") -> Net:
    """Pixels (H, W, C) → hidden layers of these widths → K scores; no widths at all is the linear classifier.

    Raises `UsageError` for a width below 1 or an unknown activation.
    """
    if min(widths, default=1) < 1:
        raise UsageError(f"hidden layers of widths {tuple(widths)}", "whole numbers from 1 up")
    if activation not in get_args(ActivationName):
        raise UsageError(f"unknown activation {activation!r}", f"one of: {', '.join(get_args(ActivationName))}")
    layers: list[tuple[str, Layer]] = [("normalize", Normalize((0.5,), (0.5,))), ("flatten", Flatten())]
    for number, width in enumerate(widths, start=1):
        layers += [(f"fc{number}", Linear(width)), (f"{activation}{number}", Activation(activation))]
    return Net("mlp", image, Chain((*layers, ("head", Linear(classes)))))
