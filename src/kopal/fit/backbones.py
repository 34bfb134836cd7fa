"""The frozen net that a recipe asks for, with its weights: from a package, the cache, a file, or through timm."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kopal.backends.weights_file import finite, read_file, weights_in
from kopal.errors import UsageError
from kopal.features import Backbone
from kopal.files import shown
from kopal.fit.downloads import published_file
from kopal.fit.foreign import is_foreign
from kopal.images import Geometry
from kopal.log import Log, Note, silent
from kopal.nets.activation_ranges import known_ranges
from kopal.nets.describe import output_shape
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.nets.quantise import quantised
from kopal.nets.registry import build
from kopal.nets.torchvision_weights import DOWNLOADABLE
from kopal.nets.translation import net_with
from kopal.nets.views import mirrored
from kopal.nets.weights import PRETRAINED, pretrained_weights
from kopal.recipes import Recipe, is_file

Origin = Mapping[str, str]


def starts_frozen(recipe: Recipe) -> bool:
    """Whether a recipe takes the features of a pretrained net: where it says so, or where a package carries them."""
    return (
        recipe.weights == "imagenet"
        or is_file(recipe.weights)
        or (recipe.weights == "auto" and recipe.net in PRETRAINED)
    )


def backbone_of(recipe: Recipe, download: bool = False, log: Log = silent) -> Backbone:
    """The recipe's net, pretrained and without its head. Weights are fetched only where `download` says so.

    Raises `WeightsError` or `UsageError` that says what is missing and how to get it.
    """
    if is_foreign(recipe.net):
        if recipe.features == "int8" or recipe.views == "mirror":
            raise UsageError(
                f"--features {recipe.features} --views {recipe.views} with --net {recipe.net}",
                "one of kopal's own nets with both",
                "leave them out",
            )
        from kopal.fit.timm_backbone import timm_backbone  # noqa: PLC0415 - PyTorch takes seconds: only where wanted

        return timm_backbone(recipe, download, log)
    net, weights, origin = pretrained_net(recipe, download, log)
    head = f"{net.stages()[-1]}."
    kept = {key: array for key, array in weights.items() if not key.startswith(head)}
    body = net.without_head()
    if recipe.features == "int8":
        body, kept = _in_int8(recipe, body, kept)
    return Backbone(mirrored(body) if recipe.views == "mirror" else body, kept, geometry_of(recipe), origin)


def pretrained_net(
    recipe: Recipe, download: bool = False, log: Log = silent
) -> tuple[Net, dict[str, NDArray[np.float32]], Origin]:
    """One of our own nets with pretrained weights, head included, and where those come from in words."""
    name, geometry = recipe.net, geometry_of(recipe)
    image = geometry.shape if recipe.image_size else None
    if is_file(recipe.weights):
        path = Path(recipe.weights)
        data = read_file(path)
        net, weights = net_with(weights_in(data, path.name), name, image)
        finite(weights, path.name)
        classes, usual = (output_shape(each)[0] for each in (net, build(name)))
        if classes != usual:
            log(Note(f"the classifier of {classes} classes in {shown(path)} is left out"))
        return net, weights, {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    if name in PRETRAINED:
        embedded = PRETRAINED[name]
        net = build(name, None, image)
        origin = {"source": embedded.source, "licence": embedded.licence, "sha256": embedded.sha256}
        return net, pretrained_weights(net), origin
    if name in DOWNLOADABLE:
        entry = DOWNLOADABLE[name]
        data, sha256 = published_file(name, entry, download, log)
        net, weights = net_with(weights_in(data, entry.file), name, image)
        finite(weights, entry.file)
        return net, weights, {"source": entry.url, "licence": entry.licence, "sha256": sha256}
    build(name)  # an unknown name has an error of its own
    raise UsageError(
        f"net {name} has no published weights",
        f"one of: {', '.join([*PRETRAINED, *DOWNLOADABLE])}, or timm:NAME",
        "name one of these, say --weights FILE, or --weights none to learn it from pixels",
    )


def _in_int8(recipe: Recipe, body: Net, weights: Weights) -> tuple[Net, dict[str, NDArray[np.float32]]]:
    ranges = known_ranges()
    if is_file(recipe.weights) or body.name not in ranges:
        raise UsageError(
            f"--features int8 with --net {recipe.net} --weights {shown(recipe.weights)}",
            f"a net whose numbers have been measured: {', '.join(ranges)}, with the weights of its package",
            "leave --features out",
        )
    return quantised(body, weights, ranges[body.name])


def geometry_of(recipe: Recipe) -> Geometry:
    """How one of our nets sees photos: as its literal says, or at its own size; at --image-size where that is said."""
    known = PRETRAINED.get(recipe.net) or DOWNLOADABLE.get(recipe.net)
    geometry = known.geometry if known else Geometry(*build(recipe.net).image)
    side = recipe.image_size
    return replace(geometry, height=side, width=side) if side else geometry
