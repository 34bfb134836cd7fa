"""An architecture as a value that can be cut, extended and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kopal.errors import UsageError
from kopal.nets.layers import Chain, Layer, Linear
from kopal.nets.run import join


@dataclass(frozen=True)
class Net:
    """A named tree of layers and the image shape (H, W, C) that it was built for."""

    name: str
    image: tuple[int, int, int]
    body: Chain

    def stages(self) -> tuple[str, ...]:
        """The names of the top-level layers, in order."""
        return tuple(name for name, _ in self.body.layers)

    def until(self, path: str) -> Net:
        """The net up to and including the layer at `path`, such as "fc7" or "conv3.2".

        Raises `UsageError` with the possible paths where there is no such layer.
        """
        return replace(self, body=_cut(self.body, path.split("."), ""))

    def then(self, name: str, layer: Layer) -> Net:
        """The net with one more layer at its end."""
        return replace(self, body=Chain((*self.body.layers, (name, layer))))

    def without_head(self) -> Net:
        """The net without its last layer, which must be Linear: what is left gives features."""
        if not self.body.layers or not isinstance(self.body.layers[-1][1], Linear):
            raise UsageError(f"net {self.name} does not end in a Linear layer", "a classification head to take off")
        return replace(self, body=Chain(self.body.layers[:-1]))

    def with_head(self, classes: int) -> Net:
        """The net with a fresh last layer for `classes` classes under the old head's name."""
        return self.without_head().then(self.body.layers[-1][0], Linear(classes))


def _cut(whole: Chain, steps: list[str], above: str) -> Chain:
    names = [name for name, _ in whole.layers]
    here = join(above, steps[0])
    if steps[0] not in names:
        known = ", ".join(join(above, name) for name in names)
        raise UsageError(f"no layer {here!r} to cut the net at", f"one of: {known}")
    position = names.index(steps[0])
    layer = whole.layers[position][1]
    if len(steps) > 1:
        if not isinstance(layer, Chain):
            # A cut branch would no longer meet the others; only a chain has a first half that is a net.
            raise UsageError(f"{here!r} is one {type(layer).__name__} and cannot be cut inside", f"{here!r} as a whole")
        layer = _cut(layer, steps[1:], here)
    return Chain((*whole.layers[:position], (steps[0], layer)))
