"""What the table of operators writes on: values whose shapes are known but for the number of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kopal.backends.onnx_graph import Graph
from kopal.errors import UsageError

Shape: TypeAlias = tuple[int | None, ...]
"""Sides of a tensor; None where it depends on the number of images."""


@dataclass(frozen=True)
class Value:
    """What the graph computes from the images: float32, by its name in the graph."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Constant:
    """What does not depend on the images: a weight, or computed from weights. `tensor` is torch's."""

    name: str
    tensor: Any

    @property
    def shape(self) -> Shape:
        """The sides, all known."""
        return tuple(self.tensor.shape)

    @property
    def array(self) -> NDArray[Any]:
        """The numbers as float32."""
        return np.asarray(self.tensor.detach().numpy(), np.float32)


Operand: TypeAlias = Value | Constant | str | float


@dataclass(frozen=True)
class Page:
    """Where one operator is written: `name` is its own in the graph, `outputs` are the shapes that it has to give."""

    graph: Graph
    name: str
    operator: str
    outputs: tuple[Shape, ...]

    @property
    def output(self) -> Shape:
        """The shape of the only, or first, result."""
        return self.outputs[0]

    def node(self, op: str, *inputs: Operand, **attributes: Any) -> str:
        """One ONNX node; returns the name of its value."""
        names = [self.operand(each) for each in inputs]
        return self.graph.node(op, names, self._fresh(), **attributes)

    def split(self, value: Operand, axis: int, sizes: Sequence[int]) -> list[str]:
        """The parts of an axis, one behind the other; returns their names."""
        inputs = [self.operand(value), self.integers(*sizes)]
        fresh = self._fresh()
        return self.graph.split("Split", inputs, [f"{fresh}.{number}" for number in range(len(sizes))], axis=axis)

    def operand(self, value: Operand) -> str:
        """The name of a value; weights and numbers become constants of the graph."""
        if isinstance(value, Value):
            return value.name
        if isinstance(value, str):
            return value
        if isinstance(value, Constant):
            return self.graph.constant(value.name, value.array)
        return self.constant(value)

    def constant(self, array: Any) -> str:
        """A constant of float32."""
        return self.graph.constant(self._fresh(), np.asarray(array, np.float32))

    def integers(self, *numbers: int) -> str:
        """A vector of whole numbers, as Slice, Split and Pad want them."""
        return self.graph.constant(self._fresh(), np.array(numbers, np.int64))

    def reshape(self, value: Operand, shape: Shape) -> str:
        """The same numbers in another shape."""
        if sum(side is None for side in shape) > 1:
            raise self.unfit("more than one side depends on the number of images")
        return self.node("Reshape", value, self.integers(*(-1 if side is None else side for side in shape)))

    def slice(self, value: Operand, axis: int, start: int, end: int, step: int = 1) -> str:
        """The part of an axis from `start` up to `end`."""
        places = (self.integers(number) for number in (start, end, axis, step))
        return self.node("Slice", value, *places)

    def unknown(self) -> UsageError:
        """The error for an operator that the table does not have."""
        return UsageError(
            f"the module uses {self.operator}, which has no ONNX form here",
            "operators that convolutional nets and vision transformers are usually made of",
            "write that part of the module with others, or take another net",
        )

    def unfit(self, reason: str) -> UsageError:
        """The error for an operator that cannot be written as it is used here."""
        return UsageError(
            f"the module uses {self.operator} in a way that has no ONNX form here: {reason}",
            "what a net does to each image by itself, with sizes that are known beforehand",
            "write that part of the module differently",
        )

    def _fresh(self) -> str:
        used = len(self.graph.nodes) + len(self.graph.constants)
        return f"{self.name}.{used}"


Write: TypeAlias = Callable[..., "str | list[str]"]
"""(page, the operator's arguments in the order of ATen's schema) → the name of its value, or of its values."""


def axis_of(value: Value | Constant, axis: int) -> int:
    """An axis counted from the front."""
    return axis % len(value.shape)
