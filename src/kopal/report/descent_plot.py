"""Two pictures of a descent: the estimate moving on the function (a curve, or contours), and the loss over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kopal.descent import Function, Step
from kopal.report.figure import rendered

PATH, CURVE = "#b42318", "#1f4e79"


def descent_picture(f: Function, steps: Sequence[Step], title: str, variables: Sequence[str], kind: str) -> bytes:
    """The picture's bytes in one of `formats.FORMATS`. More than two variables leave only the loss over time."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    figure.suptitle(f"f = {title}", parse_math=False)
    size = steps[0].x.size
    if size <= 2:
        left, right = figure.subplots(1, 2)
        (_curve if size == 1 else _contours)(left, f, steps)
        left.set_xlabel(variables[0])
        left.set_ylabel(variables[1] if size == 2 else "f")
    else:
        right = figure.subplots()
    right.plot([step.t for step in steps], [step.value for step in steps], "o-", color=PATH, markersize=4)
    right.set_title("loss over time")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel("step t")
    right.set_ylabel("f")
    return rendered(figure, kind)


def _curve(axes: Axes, f: Function, steps: Sequence[Step]) -> None:
    xs = np.array([float(step.x.reshape(())) for step in steps])
    low, high = xs.min(), xs.max()
    margin = 0.25 * (high - low) or 1.0
    line = np.linspace(low - margin, high + margin, 400)
    values = np.array([float(np.asarray(f(np.asarray(x)))) for x in line])
    axes.plot(line, np.where(np.isfinite(values), values, np.nan), color=CURVE)
    axes.plot(xs, [step.value for step in steps], "o-", color=PATH, markersize=5, linewidth=0.8)
    for step, x in list(zip(steps, xs, strict=True))[:4]:
        axes.annotate(f"t={step.t}", (x, step.value), textcoords="offset points", xytext=(6, 6), fontsize=9)
    axes.set_title("the estimate on the curve")


def _contours(axes: Axes, f: Function, steps: Sequence[Step]) -> None:
    points = np.array([step.x for step in steps])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * float((high - low).max()) or 1.0
    x, y = (np.linspace(low[axis] - margin, high[axis] + margin, 200) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y))
    values = np.asarray(f(grid), np.float64)
    shown = axes.contour(
        *grid, np.where(np.isfinite(values), values, np.nan), levels=20, cmap="Blues_r", linewidths=0.8
    )
    axes.clabel(shown, fontsize=7)
    axes.plot(points[:, 0], points[:, 1], "o-", color=PATH, markersize=4, linewidth=0.9)
    axes.set_title("the path over the contours")
