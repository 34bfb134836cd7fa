"""A linear classifier of two numbers: each class's line s = 0 in the plane, and where each class wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from kopal.errors import PixelsError
from kopal.report.figure import rendered
from kopal.report.formats import caption

Matrix = NDArray[np.float64]

GRID = 500
WIDTH, HEIGHT, PLANE = 7.8, 5.7, 4.65
"""Inches; the plane is as high as it is wide."""

NAMED = 24
"""Classes that the list beside the plane has room for."""

# The colours of Okabe and Ito, which the colour-blind tell apart too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f3c8d", "#8c6d31")
INK, QUIET = "#222222", "#666666"


def plane_picture(
    weight: ArrayLike,
    bias: ArrayLike,
    points: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    kind: str = "png",
    axes_names: tuple[str, str] = ("x₁", "x₂"),
    view: tuple[float, float] | None = None,
) -> bytes:
    """W (K, 2), b (K,), points (N, 2) with labels (N,) → the bytes of a picture.

    A line is where a class's score is 0, its arrow shows the side where the score is positive: each row of w is one
    class against the rest. The light colours show which class has the highest score. Both axes show `view`, or what
    the points need. Raises `PixelsError` where the shapes do not fit.
    """
    w, b, x = (np.asarray(part, np.float64) for part in (weight, bias, points))
    y = np.asarray(labels, np.int64)
    count = len(classes)
    if (w.shape, b.shape, x.shape[1:], y.shape) != ((count, 2), (count,), (2,), (len(x),)):
        raise PixelsError(
            f"w is {w.shape}, b {b.shape}, points {x.shape}, labels {y.shape} for {count} classes",
            "(K, 2), (K,), (N, 2), (N,) and K names",
        )
    low, high = (np.full(2, end, np.float64) for end in view) if view else _around(x)
    colours = [COLOURS[k] for k in range(count)] if count <= len(COLOURS) else _many(count)

    figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    axes = figure.add_axes((0.75 / WIDTH, 0.6 / HEIGHT, PLANE / WIDTH, PLANE / HEIGHT))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_xlabel(axes_names[0], color=INK)
    axes.set_ylabel(axes_names[1], color=INK)
    axes.tick_params(labelsize=8, color="#aaaaaa", labelcolor=QUIET)
    for spine in axes.spines.values():
        spine.set(color="#aaaaaa")
    axes.set_title("Each row of w is a line: one class against the rest", fontsize=11.5, color=INK, loc="left", pad=9)
    _regions(axes, w, b, colours, (low, high))
    seen = [_line(axes, w[k], b[k], colours[k], (low, high), (k, count)) for k in range(count)]
    for k in range(count):
        mine = x[y == k]
        axes.scatter(mine[:, 0], mine[:, 1], s=22, color=colours[k], edgecolor="white", linewidth=0.6, zorder=4)
    _names(figure, classes, colours, seen)
    return rendered(figure, kind)


def segment(w: Matrix, b: float, low: Matrix, high: Matrix) -> Matrix | None:
    """The part of the line w·x + b = 0 that lies in the box from `low` to `high`: two points (2, 2), or None."""
    ends: list[Matrix] = []
    for axis in (0, 1):
        other = 1 - axis
        for edge in (low[axis], high[axis]):
            if w[other] != 0:
                point = np.empty(2)
                point[axis] = edge
                point[other] = -(b + w[axis] * edge) / w[other]
                if low[other] <= point[other] <= high[other]:
                    ends.append(point)
    if len(ends) < 2:
        return None
    # Through a corner there are three or four ends: the two that are farthest apart.
    first = max(ends, key=lambda point: float(np.abs(point - ends[0]).sum()))
    last = max(ends, key=lambda point: float(np.abs(point - first).sum()))
    return None if np.array_equal(first, last) else np.stack([first, last])


def _around(x: Matrix) -> tuple[Matrix, Matrix]:
    if not len(x):
        return np.full(2, -1.0), np.full(2, 1.0)
    low, high = x.min(axis=0), x.max(axis=0)
    # A square view, so that right angles look right, unless the two numbers are of different kinds.
    span = high - low
    if span.max() <= 3 * span.min():
        span = np.full(2, span.max())
    span = np.where(span > 0, span, 1.0)
    middle = (low + high) / 2
    return middle - 0.62 * span, middle + 0.62 * span


def _regions(axes: Axes, w: Matrix, b: Matrix, colours: Sequence[str], box: tuple[Matrix, Matrix]) -> None:
    low, high = box
    step = (high - low) / GRID
    across, up = (low[axis] + (np.arange(GRID) + 0.5) * step[axis] for axis in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    winner = (grid @ w.T + b).argmax(axis=-1)
    light = 1 - 0.2 * (1 - np.array([to_rgb(colour) for colour in colours]))
    axes.imshow(
        light[winner],
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        interpolation="nearest",
        aspect="auto",
        zorder=0,
    )


def _line(axes: Axes, w: Matrix, b: float, colour: str, box: tuple[Matrix, Matrix], which: tuple[int, int]) -> bool:
    """Draw one class's line with the arrow to its positive side; False where it is not in view."""
    ends = segment(w, b, *box)
    if ends is None:
        return False
    number, count = which
    # Two classes may share one line: their dashes take turns.
    style = (8.0 * number, (8.0, 8.0)) if count == 2 else "solid"
    axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=2, linestyle=style, dash_capstyle="butt", zorder=2)
    # The slope of the score on paper, where a unit of each axis may have another length.
    across = w * (box[1] - box[0])
    # Far from the middle, where lines meet.
    tip = 22 * across / np.hypot(*across)
    axes.annotate(
        "",
        xy=tuple(0.85 * ends[0] + 0.15 * ends[1]),
        xytext=tuple(tip),
        textcoords="offset points",
        arrowprops={"arrowstyle": "<|-", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0},
        zorder=3,
    )
    return True


def _names(figure: Figure, classes: Sequence[str], colours: Sequence[str], seen: Sequence[bool]) -> None:
    """The classes in their colours beside the plane."""
    top, step = 0.9, 0.034
    for k, name in enumerate(classes[:NAMED]):
        y = top - k * step
        figure.text(5.6 / WIDTH, y, "■", color=colours[k], fontsize=11, va="center")
        note = "" if seen[k] else "  (line out of view)"
        figure.text(
            5.85 / WIDTH,
            y,
            caption(name, 22 if seen[k] else 14) + note,
            color=INK,
            fontsize=9,
            va="center",
            parse_math=False,
        )
    if len(classes) > NAMED:
        words = f"and {len(classes) - NAMED} more"
        figure.text(5.85 / WIDTH, top - NAMED * step, words, color=QUIET, fontsize=9, va="center")


def _many(count: int) -> list[str]:
    wheel = colormaps["hsv"]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (wheel(k / count, bytes=True)[:3] for k in range(count))]
