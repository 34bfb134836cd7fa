"""A net in two halves: the frozen one below and the one that learns, which takes activations as if they were pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kopal.fit.freedom import stages
from kopal.nets.describe import describe, output_shape
from kopal.nets.layers import Chain, Dropout, Flatten
from kopal.nets.net import Net


@dataclass(frozen=True)
class Halves:
    """`upper(lower(pixels))` is the net. `upper` takes (N, H, W, C), channels last, vectors as (N, 1, 1, D).

    The names of all arrays stay those of the whole net.
    """

    lower: Net
    upper: Net

    @property
    def work_below(self) -> float:
        """The lower half's share of the multiply-adds."""
        below, above = (sum(row.multiply_adds for row in describe(half)) for half in (self.lower, self.upper))
        return below / (below + above)


def halves(net: Net, count: int) -> Halves | None:
    """The net cut so that its last `count` stages are above; None where nothing that learns would be below.

    Layers without weights that stand before the first learning stage belong below, but for dropout.
    """
    names, layers = stages(net), net.body.layers
    if count >= len(names):
        return None
    position = net.stages().index(names[-count])
    while isinstance(layers[position - 1][1], Dropout):
        position -= 1
    lower = replace(net, body=Chain(layers[:position]))
    shape, above = output_shape(lower), layers[position:]
    if len(shape) == 1:
        return Halves(lower, replace(net, image=(1, 1, shape[0]), body=Chain((("as vector", Flatten()), *above))))
    channels, height, width = shape
    return Halves(lower, replace(net, image=(height, width, channels), body=Chain(above)))
