"""The picture of trust: how often answers of each confidence are right, and how rare errors become among the surest."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kopal.evaluate import Report
from kopal.report.figure import rendered

INK, QUIET, CURVE, MARK = "#222222", "#666666", "#1f4e79", "#b42318"


def reliability_picture(report: Report, title: str, kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`: the reliability diagram beside the risk-coverage curve."""
    figure = Figure(figsize=(9, 4.6), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    left, right = figure.subplots(1, 2)
    draw_reliability(left, report)
    draw_risk_coverage(right, report)
    return rendered(figure, kind)


def draw_reliability(axes: Axes, report: Report) -> None:
    """Accuracy against confidence, bin by bin with 95 % intervals; on the diagonal a probability means what it says."""
    found = report.calibration
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="as it should be")
    sure = [row.confidence for row in found.bins]
    shares = [row.accuracy for row in found.bins]
    below = [row.accuracy - row.interval[0] for row in found.bins]
    above = [row.interval[1] - row.accuracy for row in found.bins]
    axes.errorbar(
        sure, shares, (below, above), fmt="o", color=CURVE, capsize=3, markersize=4, label="found, 95 % intervals"
    )
    lowest = min(1.0, *(min(row.confidence, row.interval[0]) for row in found.bins))
    axes.set(xlim=(lowest - 0.02, 1.02), ylim=(lowest - 0.02, 1.02))
    axes.set_xlabel("probability of the answer", color=INK)
    axes.set_ylabel("share of right answers", color=INK)
    axes.set_title(
        f"calibration error {found.ece_debiased:.3f} ({found.interval[0]:.3f} to {found.interval[1]:.3f})",
        fontsize=10,
        color=INK,
    )
    _plain(axes)
    axes.legend(loc="upper left", fontsize=9, frameon=True, framealpha=0.9, edgecolor="#dddddd")


def draw_risk_coverage(axes: Axes, report: Report) -> None:
    """The share of errors among the surest answers, against how many are given; with the floor that was promised."""
    points = report.risk_coverage
    axes.plot([point.coverage for point in points], [point.risk for point in points], color=CURVE, linewidth=2)
    floor = report.max_error.floor if report.max_error else None
    if floor:
        axes.axhline(floor.max_error, color=MARK, linewidth=1, linestyle="--")
        axes.plot(floor.accepted / floor.photos, floor.errors / floor.accepted, "o", color=MARK)
    highest = max(point.risk for point in points)
    axes.set(xlim=(0, 1.02), ylim=(0, max(0.01, 1.15 * highest, 1.15 * floor.max_error if floor else 0)))
    axes.set_xlabel("share of photos that are answered, surest first", color=INK)
    axes.set_ylabel("share of errors among them", color=INK)
    axes.set_title(f"all answered: {points[-1].risk:.1%} errors", fontsize=10, color=INK)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, color="#aaaaaa", labelcolor=QUIET)
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
