"""The picture of a sweep over learning rates: the loss at each, and which are too low, good, high or diverging."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator

from kopal.fit.lr_finder import Sweep
from kopal.report.figure import rendered

INK, QUIET, CURVE, MARK = "#222222", "#666666", "#1f4e79", "#b42318"
COLOURS = {"too low": "#eef1f4", "good": "#dff3e4", "high": "#fdf1d3", "diverging": "#fbe0dd"}
NARROW = 0.3
"""Of a factor of ten: over a region narrower than that, its name stands upright."""
SHAPES = {"steepest": "s", "valley": "D", "suggested": "o"}


def lr_picture(sweep: Sweep, title: str, kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`."""
    figure = Figure(figsize=(9, 4.8), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    axes = figure.subplots()
    axes.set_xscale("log")
    low, high = _range(sweep)
    axes.set(xlim=(sweep.rates[0], _end(sweep)), ylim=(low, high))
    axes.plot(sweep.rates, sweep.losses, color=CURVE, alpha=0.3, linewidth=0.9, label="loss of each step")
    axes.plot(sweep.rates, sweep.smoothed, color=CURVE, linewidth=2.2, label="smoothed")
    if sweep.learns:
        for name, left, right in regions(sweep):
            _region(axes, name, left, right)
        for name in sorted(SHAPES, key=lambda point: float(getattr(sweep, point))):
            _mark(axes, sweep, getattr(sweep, name), name)
    axes.set_xlabel("learning rate", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(LogFormatterMathtext())
    axes.tick_params(labelsize=9, color="#aaaaaa", labelcolor=QUIET, which="both")
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
    axes.legend(loc="lower left", fontsize=9, frameon=True, framealpha=0.9, edgecolor="#dddddd")
    return rendered(figure, kind)


def regions(sweep: Sweep) -> Iterator[tuple[str, float, float]]:
    """(name, from, to) of the regions that the sweep has reached, in the order of their rates."""
    borders = (sweep.rates[0], sweep.too_low, sweep.lowest, min(sweep.diverging, _end(sweep)), _end(sweep))
    for name, left, right in zip(COLOURS, borders, borders[1:], strict=False):
        if left < right:
            yield name, float(left), float(right)


def _end(sweep: Sweep) -> float:
    """Where the picture ends: a little after the loss was lost, else with the last step."""
    return 3 * sweep.lost if isfinite(sweep.lost) else float(sweep.rates[-1])


def _range(sweep: Sweep) -> tuple[float, float]:
    """The losses to show: the way down and what it started from, not how far a lost loss went."""
    start, least = float(sweep.smoothed[0]), float(sweep.smoothed.min())
    fall = max(start - least, 0.1 * start)
    lowest = min(least - 0.3 * fall, float(sweep.losses.min()) - 0.05 * fall)
    return max(0.0, lowest), start + 0.35 * fall


def _region(axes: Axes, name: str, left: float, right: float) -> None:
    axes.axvspan(left, right, color=COLOURS[name], linewidth=0, zorder=0)
    narrow = log10(right / left) < NARROW
    axes.text(
        np.sqrt(left * right),
        1.015,
        name,
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="bottom",
        rotation=90 if narrow else 0,
        fontsize=9.5,
        color=QUIET,
    )


def _mark(axes: Axes, sweep: Sweep, rate: float, name: str) -> None:
    loss = float(np.interp(np.log(rate), np.log(sweep.rates), sweep.smoothed))
    axes.plot([rate], [loss], SHAPES[name], color=MARK, markersize=6, zorder=4, label=f"{name}, {rate:.2g}")
