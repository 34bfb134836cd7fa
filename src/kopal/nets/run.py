"""The one walk over a net. A backend is a table of functions for the leaves; only this file knows the combinators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kopal.nets.layers import Chain, Concat, Layer, Residual, SqueezeExcite

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True)
class Table(Generic[T, A]):
    """What a backend brings: a function per leaf type, and the three ways in which branches meet again.

    A leaf function takes (layer, path, weights, x); it looks up `weights[path + ".weight"]` and the like.
    """

    leaves: Mapping[type, Callable[[Any, str, Mapping[str, A], T], T]]
    add: Callable[[str, T, T], T]
    multiply: Callable[[str, T, T], T]
    concat: Callable[[str, list[T]], T]


def run(layer: Layer, weights: Mapping[str, A], x: T, table: Table[T, A], path: str = "") -> T:
    """Send x through a layer, or a whole tree of them, on the backend that `table` stands for."""
    match layer:
        case Chain():
            for name, child in layer.layers:
                x = run(child, weights, x, table, join(path, name))
            return x
        case Residual():
            y = run(layer.body, weights, x, table, join(path, "body"))
            if layer.shortcut is not None:
                x = run(layer.shortcut, weights, x, table, join(path, "shortcut"))
            return table.add(path, y, x)
        case SqueezeExcite():
            return table.multiply(path, x, run(layer.gate, weights, x, table, join(path, "gate")))
        case Concat():
            return table.concat(
                path, [run(child, weights, x, table, join(path, name)) for name, child in layer.branches]
            )
        case _:
            return table.leaves[type(layer)](layer, path, weights, x)


def join(path: str, name: str) -> str:
    """The path of a child: names joined by dots."""
    return f"{path}.{name}" if path else name
