"""Several frozen nets as one, side by side: Nets → Net, whose features are all of theirs in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kopal.errors import UsageError
from kopal.nets.fold import Weights
from kopal.nets.layers import Concat, chain
from kopal.nets.net import Net
from kopal.nets.run import join

MARK = "+"
"""What stands between the names of nets."""

STAGE = "nets"


def beside(parts: Sequence[tuple[Net, Weights]]) -> tuple[Net, dict[str, NDArray[np.float32]]]:
    """Nets without heads, for the same images, and their weights → one that sends each image through all of them.

    Raises `UsageError` for nets of different images, and for the same net twice.
    """
    nets = [net for net, _ in parts]
    names = [net.name for net in nets]
    if len({*names}) < len(names):
        raise UsageError(f"net {MARK.join(names)}", "different nets: the same one twice says nothing new")
    if len({net.image for net in nets}) > 1:
        raise UsageError(
            f"nets for images of {' and '.join(str(net.image) for net in nets)}", "nets for images of one size"
        )
    together = Concat(tuple((net.name, net.body) for net in nets))
    weights = {join(join(STAGE, net.name), key): array for net, own in parts for key, array in own.items()}
    return Net(MARK.join(names), nets[0].image, chain(**{STAGE: together})), weights
