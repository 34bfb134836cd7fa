"""The graph that a computation leaves behind, and the walk back through it: reverse-mode differentiation.

A node is made after the nodes that it depends on, so numbering nodes as they are made numbers them in topological
order: no recursion, and a chain may be as long as memory allows. Nodes hold no arrays but those that their function
put into its cache, and the walk lets each cache go as soon as it has been used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from operator import attrgetter
from typing import Any, final

import numpy as np

from kopal.autograd.errors import GraphFreed, ShapeMismatch
from kopal.autograd.function import Array, Function

_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get
_next_number = count().__next__
_number = attrgetter("number")


@final
class Node:
    """One function call that may be differentiated, or (function None) a leaf, where gradients come to rest."""

    __slots__ = ("cache", "dtype", "function", "gradient", "kept", "number", "parents", "shape")

    def __init__(
        self, function: type[Function] | None, cache: Any, parents: list[Node | None], array: Array, kept: bool = False
    ) -> None:
        self.function = function
        self.cache = cache
        self.parents: list[Node | None] | None = parents
        self.shape = array.shape
        self.dtype = array.dtype
        self.kept = kept
        self.gradient: Array | None = None
        self.number = _next_number()


@contextmanager
def no_grad() -> Iterator[None]:
    """A context in which nothing is recorded, in this thread: for validation and prediction."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def walk_back(end: Node, gradient: Array) -> None:
    """Send a gradient from a node to all the leaves that it depends on, each node once, in reverse order of making.

    Raises `GraphFreed` on a second walk and `ShapeMismatch` where a `backward` returns a gradient of a wrong shape.
    """
    order = sorted(_ancestors(end), key=_number, reverse=True)
    end.gradient = gradient if end.gradient is None or end.function else end.gradient + gradient
    for node in order:
        function, parents, dz = node.function, node.parents, node.gradient
        if function is None or parents is None or dz is None:
            continue
        gradients = function.backward(dz, node.cache)
        node.cache = node.parents = None
        if not node.kept:
            node.gradient = None
        if type(gradients) is not tuple or len(gradients) != len(parents):
            gradients = _one_each(gradients, function, len(parents))
        for parent, dx in zip(parents, gradients, strict=True):
            if parent is None or dx is None:
                continue
            if callable(dx):
                dx = dx()
            if type(dx) is not np.ndarray:
                dx = np.asarray(dx)
            if dx.shape != parent.shape:
                raise ShapeMismatch(
                    f"backward of {function.__name__} returned a gradient of shape {dx.shape}",
                    f"the input's shape, {parent.shape}",
                    "sum over the axes that forward broadcast",
                )
            if dx.dtype is not parent.dtype:
                dx = dx.astype(parent.dtype)
            if parent.gradient is not None:
                # Not in place: two branches may have been handed one and the same array.
                parent.gradient = parent.gradient + dx
            else:
                parent.gradient = _own(dx, dz) if parent.kept else dx


def _ancestors(end: Node) -> list[Node]:
    found, seen, waiting = [], {end}, [end]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if node.parents is None:
            name = node.function.__name__ if node.function else "a node"
            raise GraphFreed(
                f"backward came to {name} a second time; its cache was let go after the first",
                "one backward per forward",
                "compute the output again, or add the losses up and call backward once",
            )
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return found


def _own(dx: Array, dz: Array) -> Array:
    # What stays visible must be the reader's own: z = a + b hands the very same dz to a and to b.
    return np.array(dx) if dx is dz or dx.base is not None else np.asarray(dx)


def _one_each(gradients: Any, function: type[Function], inputs: int) -> tuple[Any, ...]:
    found = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(found) != inputs:
        raise ShapeMismatch(
            f"backward of {function.__name__} returned {len(found)} gradients",
            f"one for each of the {inputs} inputs of forward",
            "return None for an input that has no gradient",
        )
    return found
