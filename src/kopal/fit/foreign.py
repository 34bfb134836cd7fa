"""The one door for nets that are written elsewhere: a user's own torch module, or one of timm's."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.backends.torch_leaf import as_leaf, brief
from kopal.backends.torch_module import require_torch
from kopal.errors import UsageError
from kopal.files import shown
from kopal.nets.describe import describe
from kopal.nets.layers import Normalize, TorchModule, chain
from kopal.nets.net import Net
from kopal.nets.registry import build

Image = tuple[int, int, int]
TIMM = "timm:"

_AROUND_ZERO = Normalize((0.5,), (0.5,))


def is_foreign(name: str) -> bool:
    """Whether a net's name leads through this door: timm:NAME or FILE.py:FUNCTION."""
    return name.startswith(TIMM) or name.endswith(".py") or ".py:" in name


def usual_image(name: str) -> Image | None:
    """The image (H, W, C) that a timm net is published for; None for a user's module."""
    if not name.startswith(TIMM):
        return None
    channels, height, width = timm_config(timm_package(), name.removeprefix(TIMM))["input_size"]
    return height, width, channels


def file_digest(name: str) -> str:
    """sha256 of the file behind "path/to/file.py:function"; "" for other nets, and where there is no such file."""
    if name.startswith(TIMM) or not is_foreign(name):
        return ""
    try:
        return hashlib.sha256(Path(name.rpartition(":")[0]).read_bytes()).hexdigest()
    except OSError:
        return ""  # `foreign_net` says what is wrong with it


def foreign_net(name: str, classes: int, image: Image) -> Net:
    """The net behind "timm:NAME" or "path/to/file.py:function" for K classes and images (H, W, C).

    The function takes the number of classes and gives an nn.Module: float32 (N, C, H, W), pixel values from -1 to 1 →
    scores (N, K). A timm net gets its pixels as it was published. The module draws its first weights here: seed
    torch before. Raises `UsageError` where there is no such net, where it does not fit, or could not be exported.
    """
    require_torch()
    if name.startswith(TIMM):
        module, normalize = _from_timm(name.removeprefix(TIMM), classes, image)
        title = name
    else:
        module, normalize, title = _from_file(name, classes), _AROUND_ZERO, os.path.basename(name)
    layer = as_leaf(title, module, classes, image)
    return Net(title, image, chain(normalize=normalize, module=layer))


def named_net(name: str) -> Net:
    """Any net at its usual size, for a look at it: one of kopal's own, timm's for 1000 classes, a user's for 10."""
    if not is_foreign(name):
        return build(name)
    image = usual_image(name)
    return foreign_net(name, 1000, image) if image else foreign_net(name, 10, (224, 224, 3))


def starting_weights(net: Net) -> dict[str, NDArray[np.float32]]:
    """The values that a net's torch modules gave themselves when they were made, by full name."""
    weights: dict[str, NDArray[np.float32]] = {}
    for row in describe(net):
        if isinstance(row.layer, TorchModule):
            tensors = dict(row.layer.structure.named_parameters()) | dict(row.layer.structure.named_buffers())
            for name in (*row.learned, *row.fixed):
                weights[f"{row.path}.{name}"] = tensors[name].detach().cpu().numpy().astype(np.float32)
    return weights


def _from_timm(name: str, classes: int, image: Image) -> tuple[Any, Normalize]:
    config = timm_config(timm_package(), name)
    return timm_module(name, config, classes, image), timm_normalize(config, image[2])


def timm_normalize(config: Mapping[str, Any], channels: int) -> Normalize:
    """What a timm net wants its pixels brought to."""
    mean, std = (_for_channels(config[key], channels) for key in ("mean", "std"))
    return Normalize(mean, std)


def timm_module(name: str, config: Mapping[str, Any], classes: int, image: Image, **said: Any) -> Any:
    """The module of timm for K classes and images (H, W, C); `said` goes to timm. Raises `UsageError`."""
    height, width, channels = image
    more: dict[str, Any] = {"pretrained": False, **said}
    if config.get("fixed_input_size") and tuple(config["input_size"][1:]) != (height, width):
        more["img_size"] = (height, width)
    try:
        return timm_package().create_model(name, num_classes=classes, in_chans=channels, **more)
    except Exception as error:
        raise UsageError(
            f"timm cannot make {name} for images of {height} x {width} x {channels} pixels: {brief(error)}",
            "a size that the net can have",
            "choose another --image-size: {} is its usual one".format(" x ".join(map(str, config["input_size"][1:]))),
        ) from error


def timm_package() -> ModuleType:
    """The package timm. Raises `UsageError` where it is missing."""
    require_torch()
    try:
        return import_module("timm")
    except ImportError as error:
        raise UsageError(
            "timm is not installed",
            "the package timm, for nets whose names begin with timm:",
            "pip install 'kopal[timm]'",
        ) from error


def timm_config(timm: Any, name: str) -> dict[str, Any]:
    """What timm says of one of its nets and its weights. Raises `UsageError` with close names where there is none."""
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise UsageError(
            f"timm {timm.__version__} has no net {name!r}",
            f"one of its names, such as {', '.join(TIMM + each for each in close or ['resnet18', 'convnext_atto'])}",
            "python -c 'import timm; print(timm.list_models())' lists them",
        )
    config = timm.get_pretrained_cfg(name)
    return {"input_size": (3, 224, 224), "mean": (0.5,), "std": (0.5,)} | (config.to_dict() if config else {})


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Means or deviations for that many channels; one number where they are equal, as for grey pictures."""
    if len(values) != channels or len(set(values)) == 1:
        return (float(mean(values)),)
    return tuple(map(float, values))


def _from_file(name: str, classes: int) -> Any:
    path, colon, function = name.rpartition(":")
    if not colon or not path.endswith(".py") or not function.isidentifier():
        raise UsageError(f"--net {name} names no function", "FILE.py:FUNCTION, such as module.py:make_net")
    if not os.path.isfile(path):
        raise UsageError(f"no file {shown(path)}", "a Python file with a function that makes a torch module")
    with _imported(path) as file:
        make = getattr(file, function, None)
        if not callable(make):
            known = sorted(key for key, value in vars(file).items() if callable(value) and not key.startswith("_"))
            raise UsageError(f"{shown(path)} has no function {function!r}", f"one of: {', '.join(known) or 'none yet'}")
        try:
            module = make(classes)
        except Exception as error:
            raise UsageError(
                f"{function}({classes}) in {shown(path)} raises {brief(error)}",
                "a function that takes the number of classes and returns a torch nn.Module",
            ) from error
    if not isinstance(module, require_torch().nn.Module):
        raise UsageError(f"{function}({classes}) in {shown(path)} gives a {type(module).__name__}", "a torch nn.Module")
    return module


@contextmanager
def _imported(path: str) -> Iterator[ModuleType]:
    """The user's file as a module; files beside it can be imported from it, as when Python runs it."""
    path = os.path.abspath(path)
    spec = importlib.util.spec_from_file_location(f"kopal_foreign_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{shown(path)} cannot be imported", "a Python file")
    file = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = file  # dataclasses look their module up
    sys.path.insert(0, os.path.dirname(path))
    try:
        try:
            spec.loader.exec_module(file)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{shown(path)} cannot be imported: {brief(error)}", "a Python file that can be imported"
            ) from error
        yield file
    finally:
        sys.path.remove(os.path.dirname(path))
