"""The ladder as a picture: accuracy with its interval against seconds, the circle's area for the parameters."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kopal.report.figure import rendered
from kopal.rungs import Rung

INK, QUIET, CURVE = "#222222", "#666666", "#1f4e79"
LEAST_SECONDS = 0.5
"""Naming the largest class takes no time, which a logarithmic axis has no place for."""
AREA, LARGEST = 30.0, 1500.0
"""Square points of a circle: for no parameters, and added for a hundred million."""


def ladder_picture(rungs: Sequence[Rung], title: str, kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`; rungs that were left out are not drawn."""
    climbed = [rung for rung in rungs if not rung.left_out]
    figure = Figure(figsize=(9, 5.2), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    axes = figure.subplots()
    axes.set_xscale("log")
    seconds = [max(rung.seconds, LEAST_SECONDS) for rung in climbed]
    shares = [100 * rung.accuracy for rung in climbed]
    below = [100 * (rung.accuracy - rung.interval[0]) for rung in climbed]
    above = [100 * (rung.interval[1] - rung.accuracy) for rung in climbed]
    axes.errorbar(seconds, shares, (below, above), fmt="none", ecolor=CURVE, elinewidth=1.2, capsize=3, zorder=2)
    areas = [AREA + LARGEST * (rung.parameters / 1e8) ** 0.5 for rung in climbed]
    axes.scatter(seconds, shares, s=areas, color=CURVE, alpha=0.4, edgecolor=CURVE, zorder=3)
    # Neighbours in time are named above and below in turn.
    below_or_above = {rung.name: number % 2 for number, rung in enumerate(sorted(climbed, key=lambda one: one.seconds))}
    for at, rung in zip(seconds, climbed, strict=True):
        edge = rung.interval[1 if below_or_above[rung.name] else 0]
        axes.annotate(
            f"{rung.name}\n{rung.accuracy:.1%}",
            (at, 100 * edge),
            (0, 5 if below_or_above[rung.name] else -5),
            textcoords="offset points",
            ha="center",
            va="bottom" if below_or_above[rung.name] else "top",
            fontsize=8.5,
            color=INK,
        )
    axes.set_xlim(min(seconds) / 2.5, max(seconds) * 2.5)
    axes.set_ylim(min(100 * rung.interval[0] for rung in climbed) - 12, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("seconds on this machine", color=INK)
    axes.set_ylabel("accuracy on the test part, %", color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color="#aaaaaa", labelcolor=QUIET, which="both")
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
    figure.supxlabel(
        "Bars: 95 % intervals. Circles: larger for more parameters (area by their root).", fontsize=8, color=QUIET
    )
    return rendered(figure, kind)
