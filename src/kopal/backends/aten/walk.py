"""The walk over what torch.export recorded: what depends on the images is written, what does not is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import getitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.backends.aten.elementwise import ELEMENTWISE
from kopal.backends.aten.page import Constant, Page, Shape, Value, Write
from kopal.backends.aten.planes import PLANES
from kopal.backends.aten.products import PRODUCTS
from kopal.backends.aten.resampling import RESAMPLING
from kopal.backends.aten.shaping import BY_SHAPE, SHAPING
from kopal.backends.onnx_graph import Graph
from kopal.backends.torch_module import require_torch
from kopal.errors import WeightsError
from kopal.nets.layers import TorchModule

OPERATORS: Mapping[str, Write] = {**ELEMENTWISE, **SHAPING, **PRODUCTS, **PLANES, **RESAMPLING}

_FOR_EACH_IMAGE = frozenset(
    f"aten.{name}.default"
    for name in ("expand", "repeat", "zeros", "ones", "full", "new_zeros", "new_ones", "new_full")
)
"""Operators that give every image the same, such as a class token."""


def write_module(
    graph: Graph, layer: TorchModule, path: str, weights: Mapping[str, NDArray[np.float32]], x: str
) -> str:
    """The nodes of a recorded module with `weights` in place of its own → the name of its output.

    Raises `UsageError` for an operator that has no ONNX form here, and `WeightsError` where weights are missing.
    """
    with require_torch().no_grad():
        return _Walk(graph, layer, path, weights, x).write()


class _Walk:
    """One pass over a program. `known` maps its nodes to values, constants, and numbers for a batch of one image."""

    def __init__(
        self, graph: Graph, layer: TorchModule, path: str, weights: Mapping[str, NDArray[np.float32]], x: str
    ) -> None:
        self._graph, self._program, self._path, self._weights = graph, layer.program, path, weights
        self._names = {name for name, _ in (*layer.learned, *layer.fixed)}
        self._alias = _aliases(layer.structure)
        signature = layer.program.graph_signature
        self._held = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._images = Value(x, (None, *layer.takes))
        self._batch: Any = None
        self._zeros = ""
        self._known: dict[Any, Any] = {}

    def write(self) -> str:
        """Node by node → the name of the output."""
        last: Value | Constant | None = None
        for node in self._program.graph.nodes:
            match node.op:
                case "placeholder" if node.name in self._held:
                    self._known[node] = self._constant(self._held[node.name])
                case "placeholder":
                    self._batch = node.meta["val"].shape[0]
                    self._known[node] = self._images
                case "call_function":
                    self._known[node] = self._call(node)
                case "output":
                    last = self._known[node.args[0][0]]
        if not isinstance(last, Value):
            raise Page(self._graph, self._path, "constants alone", ()).unfit("its scores do not depend on the image")
        return last.name

    def _constant(self, name: str) -> Constant:
        name = self._alias.get(name, name)
        full = f"{self._path}.{name}"
        if name not in self._names:
            return Constant(full, self._program.state_dict.get(name, self._program.constants.get(name)))
        if full not in self._weights:
            raise WeightsError(f"the weights lack {full}", "every array that the net needs, by full name")
        return Constant(full, require_torch().tensor(self._weights[full]))

    def _call(self, node: Any) -> Any:
        result = node.meta.get("val")
        if result is None:  # an assertion
            return None
        arguments = [_found(argument, self._known) for argument in _in_order(node)]
        if node.target is getitem:
            return arguments[0][arguments[1]]
        if _is_number(result):
            # For a batch of one. Only sizes are made of it, and those are read from the record.
            return 1 if str(node.target) == "aten.sym_size.int" else node.target(*arguments)
        if any(isinstance(each, Value) for each in _flat(arguments)):
            return self._write(node, arguments, result)
        return self._compute(node, result)

    def _write(self, node: Any, arguments: Sequence[Any], result: Any) -> Value | list[Value]:
        results = result if isinstance(result, list | tuple) else [result]
        page = self._page(node, results)
        write = OPERATORS.get(page.operator)
        if write is None:
            raise page.unknown()
        if _counts_images(node) and write not in BY_SHAPE:
            raise page.unfit("it computes with the number of images")
        if str(results[0].dtype) != "torch.float32":
            raise page.unfit(f"it gives {results[0].dtype} where float32 is meant")
        written = write(page, *arguments)
        if isinstance(written, str):
            return Value(written, page.output)
        return [Value(name, shape) for name, shape in zip(written, page.outputs, strict=False)]

    def _compute(self, node: Any, result: Any) -> Any:
        arguments, more = (_found(part, self._known, tensors=True) for part in (node.args, node.kwargs))
        computed = node.target(*arguments, **more)
        name = f"{self._path}/{node.name}"
        if not _counts_images(node):
            if isinstance(computed, list | tuple):
                return [Constant(f"{name}.{number}", each) for number, each in enumerate(computed)]
            return Constant(name, computed)
        page = self._page(node, [result])
        if page.operator not in _FOR_EACH_IMAGE or not _equal(result.shape[0], self._batch):
            raise page.unfit("it computes with the number of images")
        return Value(page.node("Add", self._zero_of_each_image(page), Constant(name, computed)), page.output)

    def _zero_of_each_image(self, page: Page) -> str:
        """Zeros (N, 1, ...), of the images themselves: so the graph never asks how many there are."""
        if not self._zeros:
            corner: Value | str = self._images
            for axis in range(1, len(self._images.shape)):
                corner = page.slice(corner, axis, 0, 1)
            self._zeros = page.node("Mul", corner, 0.0)
        return page.reshape(self._zeros, (None, *[1] * (len(page.output) - 1)))

    def _page(self, node: Any, results: Sequence[Any]) -> Page:
        shapes = tuple(_shape(each) for each in results if each is not None)
        return Page(self._graph, f"{self._path}/{node.name}", str(node.target), shapes)


def _aliases(module: Any) -> dict[str, str]:
    """The names of shared weights → the name under which each is known."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(tensor), name) for name, tensor in module.named_parameters(remove_duplicate=False)
    }


def _in_order(node: Any) -> list[Any]:
    """The arguments of a node in the order of the operator's schema, with its defaults."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return list(node.args)
    rest = schema.arguments[len(node.args) :]
    return [*node.args, *(node.kwargs.get(argument.name, argument.default_value) for argument in rest)]


def _found(argument: Any, known: Mapping[Any, Any], tensors: bool = False) -> Any:
    """An argument with its nodes replaced by what is known of them, or by torch's tensors."""
    if isinstance(argument, Mapping):
        return {name: _found(each, known, tensors) for name, each in argument.items()}
    if isinstance(argument, list | tuple):
        return [_found(each, known, tensors) for each in argument]
    found = known[argument] if hasattr(argument, "op") and argument in known else argument
    return found.tensor if tensors and isinstance(found, Constant) else found


def _flat(arguments: Any) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, list | tuple):
            yield from _flat(argument)
        else:
            yield argument


def _counts_images(node: Any) -> bool:
    return any(_is_number(source.meta.get("val")) for source in node.all_input_nodes)


def _is_number(value: Any) -> bool:
    return value is not None and not isinstance(value, list | tuple) and not hasattr(value, "dtype")


def _shape(tensor: Any) -> Shape:
    return tuple(side if isinstance(side, int) else None for side in tensor.shape)


def _equal(first: Any, second: Any) -> bool:
    return str(first) == str(second)
