"""Every architecture by name: one line each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kopal.errors import UsageError
from kopal.nets.efficientnet import LITE, efficientnet_lite
from kopal.nets.linear import linear
from kopal.nets.net import Net

_NETS: dict[str, Callable[[], Net]] = {
    "linear": lambda: linear(10, (32, 32, 3)),
    **{name: partial(efficientnet_lite, name) for name in LITE},
}

NAMES = tuple(_NETS)


def build(name: str) -> Net:
    """The net of that name at its published size. Raises `UsageError` for an unknown name."""
    if name not in _NETS:
        raise UsageError(f"unknown net {name!r}", f"one of: {', '.join(NAMES)}", "kopal nets lists them")
    return _NETS[name]()
