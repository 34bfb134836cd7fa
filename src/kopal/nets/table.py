"""Nets as tables of text: one net layer by layer, or all nets side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kopal.nets.describe import Row, describe
from kopal.nets.layers import Activation, Conv, Linear
from kopal.nets.registry import NAMES, build
from kopal.nets.weights import PRETRAINED


def net_lines(name: str) -> Iterator[str]:
    """A net's leaves: path, what it is, output shape, parameters, multiply-adds for one image; then the sums."""
    net = build(name)
    rows = describe(net)
    height, width, channels = net.image
    yield f"{name}: {height} x {width} x {channels} pixels in, {rows[-1].output[0]} scores out"
    yield ""
    cells = [("layer", "", "output", "parameters", "multiply-adds")]
    for row in rows:
        output = " x ".join(map(str, row.output))
        cells.append((row.path, words(row), output, f"{row.parameters:,}", f"{row.multiply_adds:,}"))
    total = (f"{sum(row.parameters for row in rows):,}", f"{sum(row.multiply_adds for row in rows):,}")
    cells.append(("total", "", "", *total))
    yield from _aligned(cells, left=2)


def family_lines() -> Iterator[str]:
    """All nets: image side, parameters, multiply-adds, published ImageNet top-1 and where the weights are."""
    cells = [("net", "image", "parameters", "multiply-adds", "top-1", "weights")]
    for name in NAMES:
        net = build(name)
        rows = describe(net)
        known = PRETRAINED.get(name)
        cells.append(
            (
                name,
                f"{net.image[0]} x {net.image[1]} x {net.image[2]}",
                f"{sum(row.parameters for row in rows):,}",
                f"{sum(row.multiply_adds for row in rows):,}",
                f"{known.top1:.1%}" if known else "",
                f"in the package {known.package.replace('_', '-')}" if known else "",
            )
        )
    yield from _aligned(cells, left=1, last_left=True)


def words(row: Row) -> str:
    """A leaf in a few words, as on a slide: 3x3 conv, 64."""
    match row.layer:
        case Conv(out, (height, width), stride, groups=groups):
            kind = (
                "depthwise" if groups == out and groups > 1 else "conv" if groups == 1 else f"conv in {groups} groups"
            )
            step = f" /{stride[0]}" if stride != (1, 1) else ""
            return f"{height}x{width} {kind}, {out}{step}"
        case Linear(out):
            return f"FC {out}"
        case Activation(name):
            return name
        case layer:
            return type(layer).__name__


def _aligned(cells: Sequence[Sequence[str]], left: int, last_left: bool = False) -> Iterator[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        parts = [
            f"{cell:<{width}}" if column < left or (last_left and column == len(row) - 1) else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(parts).rstrip()
