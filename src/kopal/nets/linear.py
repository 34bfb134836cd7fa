"""The linear classifier of the lecture as a net: flatten the pixels, s = w·x + b."""

from __future__ import annotations

from kopal.nets.layers import Flatten, Linear, Normalize, chain
from kopal.nets.net import Net


def linear(classes: int, image: tuple[int, int, int]) -> Net:
    """Pixels (H, W, C) → K scores. Pixels are brought to -1..1; data-driven centring is folded into w and b."""
    return Net("linear", image, chain(normalize=Normalize((0.5,), (0.5,)), flatten=Flatten(), head=Linear(classes)))
