"""Architectures compared as in arXiv:1605.07678: accuracy against operations, the circle's area for the parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import pi, sqrt

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kopal.nets.describe import describe
from kopal.nets.published import PUBLISHED, Source
from kopal.nets.registry import build
from kopal.report.figure import rendered

INK, QUIET = "#222222", "#666666"
FAMILIES = {
    "alexnet": ("AlexNet", "#7f6000"),
    "vgg": ("VGG", "#b42318"),
    "googlenet": ("GoogLeNet", "#6b2fa0"),
    "inception": ("Inception-v3", "#a63a79"),
    "resnet": ("ResNet", "#1f4e79"),
    "efficientnet-lite": ("EfficientNet-Lite", "#0b7285"),
    "efficientnet-b": ("EfficientNet", "#2f7d32"),
}
POINTS_PER_MILLION = 9.0
"""Area of a circle, in square points, for a million parameters."""
LEGEND = (5, 50, 150)
"""Millions of parameters of the circles that the legend shows."""


@dataclass(frozen=True)
class Point:
    """One net: multiply-adds and parameters counted by us, top-1 accuracy as published."""

    name: str
    multiply_adds: int
    parameters: int
    top1: float
    source: Source

    @property
    def family(self) -> str:
        """The key of its family in `FAMILIES`."""
        return max((family for family in FAMILIES if self.name.startswith(family)), key=len)

    @property
    def label(self) -> str:
        """What is left of the name beside its family's colour: 18, B0, Lite4."""
        short = re.sub(r"^(vgg|resnet|efficientnet-)", "", self.name)
        whole = {"alexnet": "AlexNet", "alexnet-2012": "AlexNet 2012", "googlenet": "GoogLeNet", "inception-v3": "v3"}
        return whole.get(self.name, short.title() if short.startswith("lite") else short.upper())


def points() -> list[Point]:
    """Every net with a published accuracy, least operations first."""
    found = []
    for name, known in PUBLISHED.items():
        rows = describe(build(name))
        work, size = sum(row.multiply_adds for row in rows), sum(row.parameters for row in rows)
        found.append(Point(name, work, size, known.top1, known.source))
    return sorted(found, key=lambda point: point.multiply_adds)


def nets_picture(kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`."""
    figure = Figure(figsize=(10, 6.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_xscale("log")
    every = points()
    for family, (title, colour) in FAMILIES.items():
        own = [point for point in every if point.family == family]
        axes.plot(
            [point.multiply_adds for point in own],
            [100 * point.top1 for point in own],
            color=colour,
            linewidth=1,
            alpha=0.4,
            zorder=1,
        )
        areas = [point.parameters / 1e6 * POINTS_PER_MILLION for point in own]
        axes.scatter(
            [point.multiply_adds for point in own],
            [100 * point.top1 for point in own],
            s=areas,
            color=colour,
            alpha=0.35,
            edgecolor=colour,
            label=title,
        )
        for point in own:
            _name(axes, point, colour)
    axes.set_xlim(1.8e8, 6e10)
    axes.set_ylim(54, 88)
    axes.set_xlabel("multiply-adds for one image", color=INK)
    axes.set_ylabel("published top-1 accuracy on ImageNet, %", color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e9:g} G"))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color="#aaaaaa", labelcolor=QUIET, which="both")
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
    _legends(axes)
    sources = dict.fromkeys(point.source.what for point in every)
    figure.supxlabel(
        "Operations and parameters counted by kopal. Accuracies: " + "; ".join(sources) + ".", fontsize=7.5, color=QUIET
    )
    return rendered(figure, kind)


def _name(axes: Axes, point: Point, colour: str) -> None:
    # Beside the circle's edge: right of it, or left where the next net of the family stands close by on the right.
    radius = sqrt(point.parameters / 1e6 * POINTS_PER_MILLION / pi)
    left = point.name in LEFT
    axes.annotate(
        point.label,
        (point.multiply_adds, 100 * point.top1),
        (-(radius + 3) if left else radius + 3, ABOVE.get(point.name, 0)),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=8,
        color=colour,
    )


LEFT = frozenset({"alexnet", "googlenet", "vgg11", "vgg16", *(f"efficientnet-b{number}" for number in range(4))})
ABOVE = {
    "alexnet": -10,
    "alexnet-2012": 10,
    "efficientnet-b1": 6,
    "efficientnet-lite1": -6,
    "resnet101": -8,
    "vgg16": 8,
}
"""Points by which a name moves up where its circle has close neighbours."""


def _legends(axes: Axes) -> None:
    families = axes.legend(loc="lower right", fontsize=9, frameon=True, edgecolor="#dddddd")
    for handle in families.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([60])
    axes.add_artist(families)
    circles = [
        axes.scatter([], [], s=size * POINTS_PER_MILLION, color="#999999", alpha=0.35, label=f"{size} M")
        for size in LEGEND
    ]
    axes.legend(
        handles=circles,
        loc="lower center",
        title="parameters",
        fontsize=9,
        title_fontsize=9,
        ncols=len(LEGEND),
        frameon=False,
        columnspacing=2.5,
        handletextpad=1.5,
        borderpad=2,
    )
