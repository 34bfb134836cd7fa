"""A weights file from anywhere, told by its content, as arrays by name. Reading one never runs what is in it.

safetensors and the plain old-style PyTorch file need no PyTorch. The rest of PyTorch's files go through its own
restricted reader, `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from kopal.backends.torch_module import require_torch
from kopal.errors import UsageError, WeightsError
from kopal.files import shown
from kopal.nets.torch_file import read_legacy_weights
from kopal.nets.torchvision_names import in_published_order

Arrays = dict[str, NDArray[Any]]

_WRITTEN = "a file of tensors by name, as torch.save(module.state_dict(), file) or safetensors writes it"
# A training keeps more than weights: where they are in such a file, and what wrappers put before every name.
_WITHIN = ("state_dict", "model_state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.", "model.")


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises `WeightsError`."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise WeightsError(
            f"cannot read the weights {shown(path)}: {reason.lower()}",
            "a weights file: .pth, .pt or .safetensors",
            "--weights takes auto, imagenet, none, or such a file",
        ) from error


def weights_in(data: bytes, name: str) -> Arrays:
    """The bytes of a weights file called `name` → arrays by name, in the order in which the net runs.

    Raises `WeightsError` where it is damaged, holds anything but tensors, or needs PyTorch and that is missing.
    """
    if data[:4] == b"PK\x03\x04":
        found = _from_torch(data, name)
    elif data[:1] == b"\x80":
        found = _old_style(data, name)
    elif data[8:9] == b"{":
        found = _safetensors(data, name)
    else:
        raise WeightsError(f"{shown(name)} is not a weights file by its content", _WRITTEN, "take another file")
    found = _unwrapped(found)
    if not found:
        raise WeightsError(f"{shown(name)} holds no tensors", _WRITTEN, "take another file")
    return found


def _safetensors(data: bytes, name: str) -> Arrays:
    try:
        found = safetensors.numpy.load(data)
    except Exception as error:  # its own error, or NumPy's for numbers that NumPy does not have
        raise WeightsError(f"{shown(name)} is damaged: {_first_line(error)}", "a safetensors file") from error
    # The format sorts by name.
    return {key: found[key] for key in in_published_order(found)}


def _old_style(data: bytes, name: str) -> Arrays:
    try:
        return read_legacy_weights(data)
    except WeightsError as ours:
        try:
            return _from_torch(data, name)
        except WeightsError as theirs:
            raise ours from theirs


def _from_torch(data: bytes, name: str) -> Arrays:
    try:
        torch = require_torch()
    except UsageError as error:
        raise WeightsError(
            f"{shown(name)} is a PyTorch file that only PyTorch reads, and torch is not installed",
            "the package torch, or the same weights as .safetensors",
            "pip install 'kopal[torch]'",
        ) from error
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle leads to
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asked[1]}" if asked else _first_line(error)
        raise WeightsError(f"{shown(name)} is damaged, or holds more than tensors: {reason}", _WRITTEN) from error
    return {key: tensor.numpy() for key, tensor in _tensors(loaded, torch, name).items()}


def _tensors(loaded: Any, torch: Any, name: str) -> dict[str, Any]:
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _WITHIN if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{shown(name)} holds a {type(loaded).__name__}", _WRITTEN)
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise WeightsError(f"{shown(name)} holds {key!r}, a {type(value).__name__}", _WRITTEN)
    return {
        key: tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        for key, tensor in loaded.items()
    }


def _unwrapped(found: Arrays) -> Arrays:
    while wrapper := next((each for each in _WRAPPERS if found and all(key.startswith(each) for key in found)), None):
        found = {key.removeprefix(wrapper): array for key, array in found.items()}
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def finite(weights: Mapping[str, NDArray[Any]], name: str) -> None:
    """Raises `WeightsError` where weights hold anything but finite numbers."""
    for key, array in weights.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"{key!r} in {shown(name)} holds numbers that are not finite", "finite weights")
