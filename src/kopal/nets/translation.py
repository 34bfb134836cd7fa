"""Arrays from a weights file → one of our nets with those weights, whichever of three naming schemes they follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.nets.describe import parameter_shapes
from kopal.nets.net import Net
from kopal.nets.registry import Image, build
from kopal.nets.torchvision_names import translate_torchvision, unused
from kopal.nets.weights import translate

Weights = dict[str, NDArray[np.float32]]

# The last layer under our names and under those of the EfficientNet-PyTorch family; torchvision's is simply the last.
_HEADS = ("head.weight", "_fc.weight")


def net_with(arrays: Mapping[str, NDArray[Any]], name: str, image: Image | None = None) -> tuple[Net, Weights]:
    """The net of that name, for images (H, W, C) and for as many classes as the arrays were trained on, with them.

    Names are ours, torchvision's or the EfficientNet-PyTorch family's. Nothing may be missing or left over. Raises
    `WeightsError` naming the first layers that disagree, `UsageError` where there is no such net or image.
    """
    net = build(name, _classes(arrays), image)
    if any(key.startswith("_") for key in arrays) or arrays.keys() <= parameter_shapes(net).keys():
        return net, translate(arrays, net)
    return net, translate_torchvision(arrays, net)


def _classes(arrays: Mapping[str, NDArray[Any]]) -> int | None:
    heads = [key for key in _HEADS if key in arrays] or [
        key for key, array in arrays.items() if array.ndim == 2 and not unused(key)
    ]
    return len(arrays[heads[-1]]) or None if heads else None
