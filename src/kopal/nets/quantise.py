"""A net in whole numbers: Net → Net, in which images are rounded to 256 steps wherever a convolution reads them.

    normalize → 256 steps → conv → 256 steps → conv → 256 steps + 256 steps → 256 steps → …  → pool → head

The steps of each place come from a table of ranges that was measured once (`nets/activation_ranges.py`), so the same
net is the same file on every machine. An activation needs no node of its own: a range that begins at 0 and ends at 6 at
the most is a ReLU6. The front, what follows the pooling, and the head stay as they are (arXiv:1712.05877).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.errors import UsageError
from kopal.nets.fold import Weights, fold_batch_norm
from kopal.nets.layers import (
    Activation,
    Chain,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    Normalize,
    Quantize,
    QuantizedConv,
    Residual,
)
from kopal.nets.net import Net
from kopal.nets.run import join

Range: TypeAlias = tuple[float, float]

STEPS = 255
ENDS = {"relu": float("inf"), "relu6": 6.0}
"""The activations that a range can stand for, and where they end."""


def quantised(net: Net, weights: Weights, ranges: Mapping[str, Range]) -> tuple[Net, dict[str, NDArray[np.float32]]]:
    """The net and its weights, batch norm folded, with rounding at every place that `ranges` names by its path.

    Raises `UsageError` for a net that is made of anything but convolutions, sums, ReLU and pooling.
    """
    folded, kept = fold_batch_norm(net, weights)
    return replace(folded, body=_chain(folded.body, "", None, _looked_up(ranges, net.name))[0]), kept


def places(net: Net, weights: Weights) -> tuple[str, ...]:
    """The paths of the layers behind which a quantised net rounds: those whose range it wants to know."""
    found: list[str] = []

    def note(path: str) -> Range:
        found.append(path)
        return 0.0, 1.0

    folded, _ = fold_batch_norm(net, weights)
    _chain(folded.body, "", None, note)
    return tuple(found)


def steps(low: float, high: float) -> Quantize:
    """The 256 steps that cover a range, 0 among them, and both of its ends at the least."""
    low, high = min(low, 0.0), max(high, 0.0)
    if not low < high < float("inf"):
        raise UsageError(f"a range from {low:g} to {high:g}", "two different, finite numbers")
    zero = round(-low / (high - low) * STEPS)
    below = -low / zero if zero else 0.0
    above = high / (STEPS - zero) if zero < STEPS else 0.0
    return Quantize(float(np.float32(max(below, above))), zero)


_RangeOf: TypeAlias = Callable[[str], Range]


def _looked_up(ranges: Mapping[str, Range], net: str) -> _RangeOf:
    def range_of(path: str) -> Range:
        if path not in ranges:
            raise UsageError(f"no range is known for {path} of net {net}", "the ranges of every place that is rounded")
        return ranges[path]

    return range_of


def _chain(whole: Chain, path: str, before: Quantize | None, range_of: _RangeOf) -> tuple[Chain, Quantize | None]:
    """A chain whose input has been rounded to `before`, or not at all → the same in steps, and those of its output."""
    layers: list[tuple[str, Layer]] = []
    known = before
    for index, (name, layer) in enumerate(whole.layers):
        here = join(path, name)
        written, known = _layer(layer, here, known, range_of)
        layers.append((name, written))
        following = whole.layers[index + 1][1] if index + 1 < len(whole.layers) else None
        # What a convolution gives to an activation is rounded there.
        to_round = isinstance(layer, Conv) and not isinstance(following, Activation)
        if to_round or isinstance(layer, Normalize | Residual):
            known = steps(*range_of(here))
            # Names of layers are Python names: none can be the same as one with a hyphen.
            layers.append((f"{name}-rounded", known))
    return Chain(tuple(layers)), known


def _layer(layer: Layer, path: str, before: Quantize | None, range_of: _RangeOf) -> tuple[Layer, Quantize | None]:
    """One layer → the same in steps, and those of what it gives, where it rounds that itself."""
    match layer:
        case Chain():
            return _chain(layer, path, before, range_of)
        case Normalize() | GlobalAvgPool() | Flatten() | Dropout() | Linear():
            return layer, None
        case Conv(bias=True) if before is not None:
            return QuantizedConv(layer, before.scale), None
        case Activation(name) if name in ENDS:
            low, high = range_of(path)
            here = steps(max(low, 0.0), min(high, ENDS[name]))
            return here, here
        case Residual(body, shortcut) if before is not None:
            own = _chain(body, join(path, "body"), before, range_of)[0]
            beside = shortcut and _chain(shortcut, join(path, "shortcut"), before, range_of)[0]
            return Residual(own, beside), None
        case _:
            raise UsageError(
                f"{path}: {type(layer).__name__} has no form in whole numbers here",
                "convolutions with batch norm or bias, sums, ReLU, ReLU6 and pooling",
                "--features float32",
            )
