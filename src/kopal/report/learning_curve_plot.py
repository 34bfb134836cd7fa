"""The picture of a learning curve: accuracy at each share of the photos, the power law through it, its band."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, PercentFormatter

from kopal.learning_curve import LearningCurve
from kopal.report.figure import rendered

INK, QUIET, CURVE, MARK = "#222222", "#666666", "#1f4e79", "#b42318"


def learning_curve_picture(curve: LearningCurve, title: str, kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`; the curve goes on to four times the photos there are."""
    figure = Figure(figsize=(9, 4.8), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    axes = figure.subplots()
    axes.set_xscale("log")
    measured = [point.photos for point in curve.points]
    reach = np.geomspace(measured[0], 4 * curve.photos, 120)
    bands = np.array([curve.band(photos) for photos in reach])
    axes.fill_between(reach, bands[:, 0], bands[:, 1], color=CURVE, alpha=0.15, linewidth=0, label="95 % of the laws")
    line = np.array([curve.law.accuracy(photos) for photos in reach])
    inside = reach <= measured[-1]
    law = f"error = {curve.law.floor:.3f} + {curve.law.scale:.2f} · n^-{curve.law.exponent:.2f}"
    axes.plot(reach[inside], line[inside], color=CURVE, linewidth=2, label=law)
    axes.plot(reach[~inside], line[~inside], color=CURVE, linewidth=2, linestyle="--", label="the same, not measured")
    accuracies = np.array([point.accuracy for point in curve.points])
    reaches = np.abs(np.array([point.interval for point in curve.points]) - accuracies[:, None]).T
    axes.errorbar(
        measured, accuracies, reaches, fmt="o", color=MARK, capsize=3, zorder=4, label="out of fold, 95 % interval"
    )
    for times in (2, 4):
        place = times * curve.photos, curve.law.accuracy(times * curve.photos)
        axes.plot(*place, "o", color=CURVE, markerfacecolor="white", zorder=4)
        axes.annotate(
            f"{times}x: {place[1]:.3f}", place, textcoords="offset points", xytext=(0, 9), ha="center", color=INK
        )
    ticks = [*measured, 2 * curve.photos, 4 * curve.photos]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticklabels([f"{tick}" for tick in ticks])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlim(0.9 * measured[0], 5 * curve.photos)
    axes.set_xlabel("photos learned from", color=INK)
    axes.set_ylabel("accuracy", color=INK)
    axes.tick_params(labelsize=9, color="#aaaaaa", labelcolor=QUIET)
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
    axes.legend(loc="lower right", fontsize=9, frameon=True, framealpha=0.9, edgecolor="#dddddd", title=None)
    return rendered(figure, kind)
