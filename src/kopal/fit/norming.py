"""Batch norm: it norms by the photos that one process sees together, so each needs two of every batch."""

from __future__ import annotations

from kopal.backends.torch_module import require_torch
from kopal.errors import UsageError
from kopal.nets.describe import describe
from kopal.nets.layers import BatchNorm, Layer, TorchModule
from kopal.nets.net import Net

FEWEST = 2
"""Photos that have a deviation."""


def norms_by_batch(net: Net) -> bool:
    """Whether a net has batch norm, in modules from elsewhere too."""
    return any(_norms(row.layer) for row in describe(net))


def check_batch(net: Net, batch: int, processes: int = 1) -> None:
    """Raises `UsageError` where a batch has too few photos for each process to learn from its share."""
    each = FEWEST if norms_by_batch(net) else 1
    if batch >= each * processes:
        return
    photos = "1 photo" if batch == 1 else f"{batch} photos"
    shared = f" in {processes} processes" if processes > 1 else ""
    raise UsageError(
        f"a batch of {photos}{shared}" + (f" for --net {net.name}, which has batch norm" if each > 1 else ""),
        f"at least {each} of every batch" + (" for each process" if processes > 1 else ""),
        f"say --batch {each * processes} or more" + (", or choose a net without batch norm" if each > 1 else ""),
    )


def _norms(layer: Layer) -> bool:
    if isinstance(layer, TorchModule):
        nn = require_torch().nn
        return any(
            isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) for part in layer.structure.modules()
        )
    return isinstance(layer, BatchNorm)
