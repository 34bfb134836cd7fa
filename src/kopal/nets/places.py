"""Where a net can be cut, by name; a name that is wrong gets the nearest ones."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from kopal.errors import UsageError
from kopal.nets.layers import Chain, Layer
from kopal.nets.net import Net
from kopal.nets.run import join


def places(net: Net) -> dict[str, Layer]:
    """Every layer that the net can end in, by path and in order: those in chains, not those inside branches."""
    return dict(_places(net.body, ""))


def cut_at(net: Net, path: str) -> Net:
    """The net up to and including the layer at `path`. Raises `UsageError` with the closest names."""
    try:
        return net.until(path)
    except UsageError as error:
        known = places(net)
        around = [name for name, layer in known.items() if path.startswith(f"{name}.") and not isinstance(layer, Chain)]
        near = around or get_close_matches(path, known, n=3, cutoff=0.5)
        lists = f"kopal nets {net.name} shows the layers"
        fix = f"did you mean {' or '.join(near)}? {lists}" if near else lists
        raise UsageError(f"net {net.name}: {error.happened}", error.expected, fix) from None


def _places(whole: Chain, above: str) -> Iterator[tuple[str, Layer]]:
    for name, layer in whole.layers:
        path = join(above, name)
        yield path, layer
        if isinstance(layer, Chain):
            yield from _places(layer, path)
