"""The frozen net that a recipe asks for, with its weights: from a package, the cache, a file, or through timm.

Two names with a plus between them stand for both nets side by side, at the size of the larger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kopal.backends.weights_file import finite, read_file, weights_in
from kopal.errors import UsageError
from kopal.features import IMAGENET, Backbone, Head
from kopal.files import shown
from kopal.fit.downloads import published_file
from kopal.fit.foreign import is_foreign
from kopal.images import Geometry
from kopal.log import Log, Note, silent
from kopal.nets.activation_ranges import known_ranges
from kopal.nets.beside import MARK, beside
from kopal.nets.describe import output_shape
from kopal.nets.net import Net
from kopal.nets.quantise import quantised
from kopal.nets.registry import build
from kopal.nets.torchvision_weights import DOWNLOADABLE
from kopal.nets.translation import net_with
from kopal.nets.weights import PRETRAINED, pretrained_weights
from kopal.recipes import Recipe, is_file

Origin = Mapping[str, str]
Arrays = dict[str, NDArray[np.float32]]


def starts_frozen(recipe: Recipe) -> bool:
    """Whether a recipe takes the features of a pretrained net: where it says so, or where a package carries them."""
    return (
        recipe.weights == "imagenet"
        or is_file(recipe.weights)
        or (recipe.weights == "auto" and all(net in PRETRAINED for net in nets_of(recipe)))
    )


def backbone_of(recipe: Recipe, download: bool = False, log: Log = silent, keep: bool = True) -> Backbone:
    """The recipe's net, pretrained and without its head. Weights are fetched only where `download` says so.

    With `keep` the sha256 of weights that are not a package's is written down when they are first used.
    Raises `WeightsError` or `UsageError` that says what is missing and how to get it.
    """
    if is_foreign(recipe.net):
        if recipe.features == "int8":
            raise _no_ranges(recipe)
        from kopal.fit.timm_backbone import timm_backbone  # noqa: PLC0415 - PyTorch takes seconds: only where wanted

        return timm_backbone(recipe, download, log, keep)
    names = nets_of(recipe)
    if len(names) == 1:
        return Backbone(*_body(recipe, download, log, keep))
    if is_file(recipe.weights):
        raise UsageError(
            f"--net {recipe.net} with the weights of one file", "the published weights of each", "leave --weights out"
        )
    each = [replace(recipe, net=name) for name in names]
    side = max(geometry_of(one).height for one in each)
    found = [_body(replace(one, image_size=side), download, log, keep) for one in each]
    net, kept = beside([(body, weights) for body, weights, *_ in found])
    largest = max(each, key=lambda one: geometry_of(one).height)
    # What they have in common, such as the licence, is said once.
    origins = [origin for *_, origin, _ in found]
    keys = {key: None for origin in origins for key in origin}
    origin = {key: " + ".join(dict.fromkeys(own[key] for own in origins if key in own)) for key in keys}
    widths = [output_shape(body)[0] for body, *_ in found]
    return Backbone(net, kept, geometry_of(largest), origin, _first_head([head for *_, head in found], widths))


def _first_head(heads: Sequence[Head | None], widths: Sequence[int]) -> Head | None:
    """The first head there is, for the features of all nets in a row: it does not look at those of the others."""
    for place, head in enumerate(heads):
        if head:
            weight, bias = head
            return np.pad(weight, ((0, 0), (sum(widths[:place]), sum(widths[place + 1 :])))), bias
    return None


def nets_of(recipe: Recipe) -> tuple[str, ...]:
    """The names of the nets that a recipe takes side by side; mostly one."""
    return (recipe.net,) if is_foreign(recipe.net) else tuple(recipe.net.split(MARK))


def _body(recipe: Recipe, download: bool, log: Log, keep: bool) -> tuple[Net, Arrays, Geometry, Origin, Head | None]:
    """One of our own nets without its head, in the recipe's numbers, its weights, how it sees a photo, its origin.

    And that head, where it is one of ImageNet's classes.
    """
    net, weights, origin = pretrained_net(recipe, download, log, keep)
    last = f"{net.stages()[-1]}."
    kept = {key: array for key, array in weights.items() if not key.startswith(last)}
    known = output_shape(net) == (IMAGENET,)
    head = (weights[f"{last}weight"], weights[f"{last}bias"]) if known else None
    if recipe.features != "int8":
        return net.without_head(), kept, geometry_of(recipe), origin, head
    ranges = known_ranges()
    if is_file(recipe.weights) or net.name not in ranges:
        raise _no_ranges(recipe)
    body, kept = quantised(net.without_head(), kept, ranges[net.name])
    return body, kept, geometry_of(recipe), origin, head


def _no_ranges(recipe: Recipe) -> UsageError:
    return UsageError(
        f"--features int8 with --net {recipe.net} --weights {shown(recipe.weights)}: its numbers were never measured",
        f"one of {', '.join(known_ranges())}, with the weights of its package",
        "leave --features out",
    )


def pretrained_net(
    recipe: Recipe, download: bool = False, log: Log = silent, keep: bool = True
) -> tuple[Net, Arrays, Origin]:
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
        data, sha256 = published_file(name, entry, download, log, keep)
        net, weights = net_with(weights_in(data, entry.file), name, image)
        finite(weights, entry.file)
        return net, weights, {"source": entry.url, "licence": entry.licence, "sha256": sha256}
    build(name)  # an unknown name has an error of its own
    raise UsageError(
        f"net {name} has no published weights",
        f"one of: {', '.join([*PRETRAINED, *DOWNLOADABLE])}, or timm:NAME",
        "name one of these, say --weights FILE, or --weights none to learn it from pixels",
    )


def geometry_of(recipe: Recipe) -> Geometry:
    """How one of our nets sees photos: as its literal says, or at its own size; at --image-size where that is said."""
    known = PRETRAINED.get(recipe.net) or DOWNLOADABLE.get(recipe.net)
    geometry = known.geometry if known else Geometry(*build(recipe.net).image)
    side = recipe.image_size
    return replace(geometry, height=side, width=side) if side else geometry


def embedded_backbone(name: str) -> Backbone:
    """The frozen net of that name with the weights that its package carries, cut before its head."""
    return backbone_of(Recipe(net=name, weights="imagenet"))
