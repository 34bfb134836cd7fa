"""What a net would do, without doing it: output shapes, parameters and multiply-adds, layer by layer.

One more table for `run`: the values that walk through the net are shapes (C, H, W) or (D,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

from kopal.errors import UsageError
from kopal.nets.heads import GaussianBayes, HeadLeaf, KernelMachine, Neighbours, Trees
from kopal.nets.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Custom,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Leaf,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Normalize,
    Quantize,
    QuantizedConv,
    TorchModule,
)
from kopal.nets.net import Net
from kopal.nets.run import Table, run

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One leaf of a net. `learned` and `fixed` map parameter names to shapes; multiply-adds are for one image."""

    path: str
    layer: Leaf
    output: Shape
    learned: Mapping[str, Shape] = field(default_factory=dict)
    fixed: Mapping[str, Shape] = field(default_factory=dict)
    multiply_adds: int = 0

    @property
    def parameters(self) -> int:
        """How many numbers this leaf learns."""
        return sum(prod(shape) for shape in self.learned.values())


def describe(net: Net) -> list[Row]:
    """The leaves of a net in the order in which they run. Raises `UsageError` where shapes do not fit."""
    return _walk(net)[0]


def output_shape(net: Net) -> Shape:
    """The shape that one image has when it leaves the net, without N."""
    # Not the last leaf's: a net cut after a Concat ends where its branches meet.
    return _walk(net)[1]


def _walk(net: Net) -> tuple[list[Row], Shape]:
    height, width, channels = net.image
    rows: list[Row] = []

    def leaf(layer: Any, path: str, weights: Mapping[str, None], x: Shape) -> Shape:
        try:
            row: Row = _LEAVES[type(layer)](layer, path, x)
        except _Misfit as misfit:
            raise UsageError(f"{path}: {misfit}", f"a net whose layers fit; {type(layer).__name__} got {x}") from None
        rows.append(row)
        return row.output

    def same(path: str, first: Shape, second: Shape) -> Shape:
        if first != second:
            raise UsageError(f"{path}: branches of shapes {first} and {second} cannot be added", "equal shapes")
        return first

    def gate(path: str, x: Shape, factor: Shape) -> Shape:
        if factor != (x[0], 1, 1):
            raise UsageError(f"{path}: a gate of shape {factor} for {x}", "one number per channel")
        return x

    def beside(path: str, branches: list[Shape]) -> Shape:
        if len({shape[1:] for shape in branches}) > 1:
            raise UsageError(f"{path}: branches of shapes {branches} cannot stand side by side", "equal height, width")
        return (sum(shape[0] for shape in branches), *branches[0][1:])

    table: Table[Shape, None] = Table(dict.fromkeys(_LEAVES, leaf), add=same, multiply=gate, concat=beside)
    output = run(net.body, {}, (channels, height, width), table)
    return rows, output


def parameter_shapes(net: Net) -> dict[str, Shape]:
    """Every array that the net needs, learned or fixed, by full name, in order."""
    return {
        f"{row.path}.{name}": shape
        for row in describe(net)
        for name, shape in (*row.learned.items(), *row.fixed.items())
    }


class _Misfit(Exception):
    pass


def _window(
    x: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape = (1, 1), ceil: bool = False
) -> Shape:
    if len(x) != 3:
        raise _Misfit("needs an image (C, H, W)")
    sides = []
    for axis in (0, 1):
        covered = dilation[axis] * (kernel[axis] - 1) + 1
        free = x[1 + axis] + padding[axis] + padding[axis + 2] - covered
        if free < 0:
            raise _Misfit(f"a window of {covered} does not fit into {x[1 + axis]} pixels")
        steps = -(-free // stride[axis]) if ceil else free // stride[axis]
        # A hanging window must still start inside the image, as in PyTorch and ONNX.
        if ceil and steps * stride[axis] >= x[1 + axis] + padding[axis]:
            steps -= 1
        sides.append(steps + 1)
    return tuple(sides)


def _conv(layer: Conv, path: str, x: Shape) -> Row:
    height, width = _window(x, layer.kernel, layer.stride, layer.padding, layer.dilation)
    if x[0] % layer.groups or layer.out % layer.groups:
        raise _Misfit(f"{x[0]} channels in and {layer.out} out do not divide into {layer.groups} groups")
    weight = (layer.out, x[0] // layer.groups, *layer.kernel)
    learned = {"weight": weight} | ({"bias": (layer.out,)} if layer.bias else {})
    return Row(path, layer, (layer.out, height, width), learned, multiply_adds=prod(weight) * height * width)


def _quantized_conv(layer: QuantizedConv, path: str, x: Shape) -> Row:
    return replace(_conv(layer.conv, path, x), layer=layer)


def _linear(layer: Linear, path: str, x: Shape) -> Row:
    if len(x) != 1:
        raise _Misfit("needs a vector (D,): flatten first")
    learned = {"weight": (layer.out, x[0])} | ({"bias": (layer.out,)} if layer.bias else {})
    return Row(path, layer, (layer.out,), learned, multiply_adds=layer.out * x[0])


def _batch_norm(layer: BatchNorm, path: str, x: Shape) -> Row:
    channels = (x[0],)
    learned = {"weight": channels, "bias": channels}
    return Row(path, layer, x, learned, {"running_mean": channels, "running_var": channels})


def _normalize(layer: Normalize, path: str, x: Shape) -> Row:
    if {len(layer.mean), len(layer.std)} - {1, x[0]}:
        raise _Misfit(f"means {layer.mean} and deviations {layer.std} for {x[0]} channels")
    return Row(path, layer, x)


def _max_pool(layer: MaxPool, path: str, x: Shape) -> Row:
    return Row(path, layer, (x[0], *_window(x, layer.kernel, layer.stride, layer.padding, ceil=layer.ceil)))


def _avg_pool(layer: AvgPool, path: str, x: Shape) -> Row:
    return Row(path, layer, (x[0], *_window(x, layer.kernel, layer.stride, layer.padding)))


def _global_avg_pool(layer: GlobalAvgPool, path: str, x: Shape) -> Row:
    return Row(path, layer, (x[0], 1, 1))


def _flatten(layer: Flatten, path: str, x: Shape) -> Row:
    return Row(path, layer, (prod(x),))


def _custom(layer: Custom, path: str, x: Shape) -> Row:
    return Row(path, layer, layer.output(x) if layer.output else x, dict(layer.parameters))


def _torch_module(layer: TorchModule, path: str, x: Shape) -> Row:
    if x != layer.takes:
        raise _Misfit(f"{layer.name} was made for images of shape {layer.takes}")
    return Row(path, layer, layer.gives, dict(layer.learned), dict(layer.fixed), layer.multiply_adds)


def _head(layer: HeadLeaf, path: str, x: Shape) -> Row:
    if len(x) != 1:
        raise _Misfit("needs a vector (D,): flatten first")
    shapes = layer.shapes(x[0])
    return Row(path, layer, (layer.classes,), shapes, multiply_adds=sum(map(prod, shapes.values())))


def _unchanged(layer: Leaf, path: str, x: Shape) -> Row:
    return Row(path, layer, x)


_LEAVES: Mapping[type, Callable[[Any, str, Shape], Row]] = {
    Custom: _custom,
    TorchModule: _torch_module,
    **dict.fromkeys((KernelMachine, Neighbours, GaussianBayes, Trees), _head),
    Conv: _conv,
    BatchNorm: _batch_norm,
    LocalResponseNorm: _unchanged,
    Linear: _linear,
    Activation: _unchanged,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten,
    Dropout: _unchanged,
    Normalize: _normalize,
    Quantize: _unchanged,
    QuantizedConv: _quantized_conv,
}
