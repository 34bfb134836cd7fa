"""Weights under torchvision's names → the same arrays under ours, matched by order, kind and shape.

torchvision and kopal list a net's layers in the same order (main path first, then the shortcut; branches from left to
right), so the n-th layer with parameters there is the n-th here: no table of names per family. What order alone could
hide, two neighbours of equal shape changing places, tests rule out by comparing outputs for one net of each family.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import WeightsError
from kopal.nets.describe import parameter_shapes
from kopal.nets.net import Net

# Parts that only help training: the Inceptions' auxiliary classifiers, batch norm's count of batches.
UNUSED_LAYERS = ("aux1.", "aux2.", "AuxLogits.")
UNUSED_KIND = "num_batches_tracked"


def translate_torchvision(published: Mapping[str, NDArray[Any]], net: Net) -> dict[str, NDArray[np.float32]]:
    """A torchvision state dict, in its own order, as weights of `net`; timm's EfficientNet-Lite fits as well.

    Raises `WeightsError` where a layer is missing or left over, or holds other parameters or shapes than ours.
    """
    theirs = _by_layer({name: array for name, array in published.items() if not unused(name)})
    ours = _by_layer(parameter_shapes(net))
    if len(theirs) != len(ours):
        raise WeightsError(
            f"the weights hold {len(theirs)} layers with parameters{_first_difference(theirs, ours)}",
            f"{len(ours)}, as net {net.name} has",
            "take the weights of the same net",
        )
    weights: dict[str, NDArray[np.float32]] = {}
    for (their_path, arrays), (our_path, shapes) in zip(theirs.items(), ours.items(), strict=True):
        found = {kind: tuple(array.shape) for kind, array in arrays.items()}
        if found != shapes:
            raise WeightsError(
                f"layer {their_path!r} of the weights holds {_words(found)}",
                f"{_words(shapes)}, as {our_path!r} in net {net.name}",
                "take the weights of the same net for as many classes",
            )
        for kind in shapes:
            weights[f"{our_path}.{kind}"] = np.asarray(arrays[kind], np.float32)
    return weights


def in_published_order(names: Iterable[str]) -> list[str]:
    """Names of torchvision's kind, in any order, as torchvision lists them: for files that sort them otherwise."""
    return sorted(names, key=lambda name: [_place(part) for part in name.split(".")])


# Inception-v3's branches, in the order in which torchvision lists them; "branch" is that of the pool.
_BRANCHES = (
    *("branch1x1", "branch5x5", "branch7x7", "branch3x3", "branch7x7dbl", "branch7x7x3", "branch3x3dbl"),
    "branch",
)
_LAST = ("downsample", "classifier", "fc")


def _place(part: str) -> tuple[int, int, str]:
    """Where one part of a name stands among its neighbours: conv1, bn1, conv2, bn2 and not bn1, bn2, conv1, conv2."""
    stem = part.rstrip("0123456789")
    number = int(part[len(stem) :] or 0)
    branch, _, step = part.partition("_")
    if stem in ("", "features", "conv", "bn"):
        return 0, number, {"conv": "a", "bn": "b"}.get(stem, "")
    if branch in _BRANCHES:
        return 1, _BRANCHES.index(branch), step
    if stem in _LAST:
        return 2, _LAST.index(stem), str(number)
    return 1, 0, part


def _first_difference(theirs: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Mapping[str, Any]]) -> str:
    """In words, the first layer that is not the same in both, or nothing where one of them only goes on longer."""
    for (their_path, arrays), (our_path, shapes) in zip(theirs.items(), ours.items(), strict=False):
        found = {kind: tuple(array.shape) for kind, array in arrays.items()}
        if found != shapes:
            return (
                f"; the first that disagrees is {their_path!r}: {_words(found)}, not {_words(shapes)} as {our_path!r}"
            )
    return ""


def unused(name: str) -> bool:
    """Whether an array only helped training."""
    return name.startswith(UNUSED_LAYERS) or name.endswith(UNUSED_KIND)


def _by_layer(named: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Layer path → parameter name → value, layers in order of first appearance."""
    layers: dict[str, dict[str, Any]] = {}
    for name, value in named.items():
        path, _, kind = name.rpartition(".")
        layers.setdefault(path, {})[kind] = value
    return layers


def _words(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{kind} {shape}" for kind, shape in shapes.items())
