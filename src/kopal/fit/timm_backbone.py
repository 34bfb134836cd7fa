"""One of timm's nets as a frozen backbone: its module without the classifier is the last leaf of a Net.

The weights go through kopal's own reader, which refuses all but tensors, then through timm's, which knows what its
layers were called when the file was written. timm's own cache, that of huggingface_hub, keeps what is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from kopal.backends.torch_leaf import as_leaf, brief
from kopal.backends.torch_module import require_torch, set_mode
from kopal.backends.weights_file import Arrays, finite, read_file, weights_in
from kopal.errors import UsageError, WeightsError, WeightsMissing
from kopal.features import IMAGENET, Backbone, Head
from kopal.files import shown
from kopal.fit.downloads import compare, fetch, weights_folder
from kopal.fit.foreign import (
    TIMM,
    Image,
    starting_weights,
    timm_config,
    timm_module,
    timm_normalize,
    timm_package,
)
from kopal.images import Geometry
from kopal.images.geometry import FILTERS
from kopal.log import Log, Note
from kopal.nets.layers import chain
from kopal.nets.net import Net
from kopal.recipes import Recipe, is_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def timm_backbone(recipe: Recipe, download: bool, log: Log, keep: bool = True) -> Backbone:
    """The net of timm that a recipe names, with published weights or those of the recipe's file, up to its features.

    Raises `WeightsError` or `UsageError` that says what is missing and how to get it.
    """
    if not recipe.net.startswith(TIMM):
        raise UsageError(
            f"frozen features of {recipe.net}, a module of your own",
            "one of kopal's nets, or timm:NAME",
            "leave out --weights, or say --weights none, to learn it from pixels",
        )
    name = recipe.net.removeprefix(TIMM)
    config = timm_config(timm_package(), name)
    image = _image(config, recipe.image_size)
    if is_file(recipe.weights):
        path = Path(recipe.weights)
        origin = {"file": path.name}
    else:
        path = _published(recipe.net, config, download, log)
        origin = {"source": _address(config), "licence": str(config.get("license") or "not stated")}
    data = read_file(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if not is_file(recipe.weights):
        compare(f"{recipe.net}/{path.name}", sha256, shown(path), log, keep)
    arrays = weights_in(data, path.name)
    finite(arrays, path.name)
    module, head = _with_weights(name, config, arrays, image, path.name)
    leaf = as_leaf(recipe.net, module, _width(recipe.net, module, image), image)
    net = Net(recipe.net, image, chain(normalize=timm_normalize(config, image[2]), module=leaf))
    named = str(config.get("interpolation"))
    geometry = Geometry(*image, filter=named if named in FILTERS else "bicubic")
    return Backbone(net, starting_weights(net), geometry, {**origin, "sha256": sha256}, head)


def _image(config: Mapping[str, Any], side: int) -> Image:
    channels, height, width = config["input_size"]
    return (side, side, channels) if side else (height, width, channels)


def _with_weights(
    name: str, config: Mapping[str, Any], arrays: Arrays, image: Image, file: str
) -> tuple[Any, Head | None]:
    """The module with these weights, nothing missing and nothing left over, then without its classifier; and that."""
    torch = require_torch()
    classes, offset = _classes(config, arrays), int(config.get("label_offset") or 0)
    if classes == int(config["num_classes"]) + offset:
        classes -= offset
    else:
        offset = 0
    overlay = {
        "state_dict": {key: torch.tensor(array) for key, array in arrays.items()},
        # Where both numbers are the same, timm takes all of the weights or none.
        "num_classes": classes,
        "label_offset": offset,
    }
    try:
        module = timm_module(name, config, classes, image, pretrained=True, pretrained_cfg_overlay=overlay)
    except UsageError as error:
        # A net that cannot be made at all has an error of its own; otherwise it is the weights.
        wanted = timm_module(name, config, classes, image).state_dict()
        raise WeightsError(
            f"{shown(file)} does not hold the weights of {TIMM}{name}: {_difference(arrays, wanted, error)}",
            "the tensors of that net, by timm's names",
            "take the weights of the same net",
        ) from error
    head = _without_classifier(module, image) if classes else None
    module.pretrained_cfg = module.default_cfg = None  # they hold the tensors once more
    return module, head


def _without_classifier(module: Any, image: Image) -> Head | None:
    """Take the classifier away: given back where it is ImageNet's, and affine in the features that are left."""
    torch = require_torch()
    set_mode(module, training=False)
    some = torch.randn((1, image[2], *image[:2]), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last, scores = module.get_classifier(), module(some)
        module.reset_classifier(0)
        features = module(some)
        if not isinstance(last, torch.nn.Linear) or last.bias is None or scores.shape != (1, IMAGENET):
            return None
        if features.shape != (1, last.in_features) or not torch.allclose(last(features), scores, 1e-3, 1e-4):
            return None
    return last.weight.detach().numpy().copy(), last.bias.detach().numpy().copy()


def _difference(arrays: Arrays, wanted: Mapping[str, Any], error: Exception) -> str:
    """In words, the first tensors that are not the same in both."""
    shapes = {key: tuple(tensor.shape) for key, tensor in wanted.items()}
    told = [f"it lacks {key!r}" for key in shapes if key not in arrays][:1]
    told += [f"has {key!r} left over" for key in arrays if key not in shapes][:1]
    told += [
        f"{key!r} is {arrays[key].shape}, not {shape}"
        for key, shape in shapes.items()
        if key in arrays and arrays[key].shape != shape
    ][:1]
    return ", ".join(told) or brief(error.__cause__ or error)


def _classes(config: Mapping[str, Any], arrays: Arrays) -> int:
    """How many classes the weights' own classifier tells apart; 0 without one."""
    named = config.get("classifier") or ()
    first = named if isinstance(named, str) else next(iter(named), "")
    return len(arrays[f"{first}.weight"]) if f"{first}.weight" in arrays else 0


def _width(name: str, module: Any, image: Image) -> int:
    """D, the length of the features that a module gives."""
    torch = require_torch()
    set_mode(module, training=False)
    with torch.no_grad():
        found = module(torch.zeros(1, image[2], image[0], image[1]))
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise UsageError(f"{name} gives no vector without its classifier", "features (N, D)", "take another net")
    return int(found.shape[1])


def _address(config: Mapping[str, Any]) -> str:
    hub = config.get("hf_hub_id")
    return f"https://huggingface.co/{str(hub).partition('@')[0]}" if hub else str(config.get("url") or "")


def _published(name: str, config: Mapping[str, Any], download: bool, log: Log) -> Path:
    """Where timm's published weights of a net are, fetched where `download` allows it and they are not here yet."""
    address, hub = _address(config), str(config.get("hf_hub_id") or "")
    if not address:
        raise UsageError(
            f"timm publishes no weights for {name}", "a net of timm's with weights", "--weights FILE, or another net"
        )
    if hub:
        return _from_hub(name, hub, config.get("hf_hub_filename"), download, log)
    path = weights_folder() / address.rpartition("/")[2]
    if not path.is_file():
        if not download:
            raise _missing(name, address, f"or get {address} on another machine and say --weights FILE")
        log(Note(f"fetching {address}"))
        fetch(address, path, None)
    return path


def _from_hub(name: str, hub: str, file: str | None, download: bool, log: Log) -> Path:
    client = import_module("huggingface_hub")
    repository, _, revision = hub.partition("@")
    address = f"https://huggingface.co/{repository}"
    wanted, otherwise = (
        ((file,) if file else HUB_FILES),
        f"or get a file of {address} on another machine and say --weights FILE",
    )
    for each in wanted:
        found = client.try_to_load_from_cache(repository, each, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    if not download:
        raise _missing(name, address, otherwise)
    log(Note(f"fetching the weights of {name} from {address}"))
    for each in wanted:
        try:
            return Path(client.hf_hub_download(repository, each, revision=revision or None))
        except client.errors.EntryNotFoundError as error:
            # What cannot be reached is told apart from what does not exist.
            if isinstance(error, client.errors.LocalEntryNotFoundError) or each == wanted[-1]:
                raise _unreachable(address, error, otherwise) from error
        except Exception as error:  # of the network, of the disk, of the service
            raise _unreachable(address, error, otherwise) from error
    raise _missing(name, address, otherwise)


def _missing(name: str, address: str, otherwise: str) -> WeightsMissing:
    return WeightsMissing(
        f"the published weights of {name} are not on this machine",
        f"those of {address}",
        f"add --download to fetch them once; {otherwise}",
    )


def _unreachable(address: str, error: Exception, otherwise: str) -> WeightsError:
    return WeightsError(
        f"cannot fetch the weights of {address}: {brief(error)}",
        "a connection to that address",
        f"try again; {otherwise}",
    )
