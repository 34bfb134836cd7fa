"""An architecture as a value that can be cut, extended and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kopal.errors import UsageError
from kopal.nets.layers import Chain, Layer, Linear


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
        """The net up to and including the layer at `path`, such as "pool" or "classifier.fc7"."""
        return replace(self, body=_cut(self.body, path.split("."), path))

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


def _cut(whole: Chain, steps: list[str], path: str) -> Chain:
    kept: list[tuple[str, Layer]] = []
    for name, layer in whole.layers:
        if name != steps[0]:
            kept.append((name, layer))
            continue
        if len(steps) > 1:
            if not isinstance(layer, Chain):
                break
            layer = _cut(layer, steps[1:], path)
        return Chain((*kept, (name, layer)))
    names = ", ".join(name for name, _ in whole.layers)
    raise UsageError(f"no layer {path!r} to cut the net at", f"a path of names, here one of: {names}")
