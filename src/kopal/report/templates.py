"""The rows of a linear classifier's w as images: what each class looks for in the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kopal.classifier import Classifier
from kopal.report.figure import rendered
from kopal.report.formats import caption
from kopal.report.plane import plane_picture
from kopal.templates import linear_weights

MOST = 100
"""Classes that are drawn; of more, the first."""

FOR_AND_AGAINST = "RdBu_r"
INK, QUIET = "#222222", "#666666"

# inches
CELL, SMALL_CELL, GAP, NAME, HEAD, FOOT, MARGIN = 1.75, 1.2, 0.15, 0.3, 0.72, 0.8, 0.25


def classifier_picture(classifier: Classifier, kind: str) -> bytes:
    """A linear classifier's picture: its templates, or of images of two numbers the classes' lines in the plane.

    Raises `UsageError` for another net: only there a row of weights is an image.
    """
    weight, bias = linear_weights(classifier)
    if weight.shape[1] == 2:
        axes = ("left pixel", "right pixel") if classifier.geometry.width == 2 else ("upper pixel", "lower pixel")
        nothing = np.empty((0, 2)), np.empty(0, np.int64)
        return plane_picture(weight, bias, *nothing, classifier.classes, kind, axes, (0, 255))
    return templates_picture(weight, classifier.geometry.shape, classifier.classes, kind)


def templates_picture(
    weight: NDArray[np.float64], image: tuple[int, int, int], classes: Sequence[str], kind: str = "png"
) -> bytes:
    """W (K, C·H·W) in planes → the bytes of a picture with one image (H, W, C) per class, up to `MOST` of them.

    Grey weights share one colour scale, symmetric about 0. Each class's colour weights are scaled by their largest, and
    mid-grey is 0.
    """
    height, width, channels = image
    shown = weight[:MOST].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    columns = min(len(shown), 5 if len(shown) <= 20 else 10)
    rows = -(-len(shown) // columns)
    cell = CELL if columns <= 5 else SMALL_CELL
    # A strip of pixels is drawn thicker than it is, so that it can be seen.
    tall = cell * min(max(height / width, 0.25), 3.0)
    across = max(columns * (cell + GAP) - GAP, 4.5)
    size = across + 2 * MARGIN, HEAD + rows * (tall + NAME) + FOOT
    figure = Figure(figsize=size, facecolor="white")
    left = (size[0] - columns * (cell + GAP) + GAP) / 2

    limit = _largest(shown)
    for index, template in enumerate(shown):
        x = left + index % columns * (cell + GAP)
        y = size[1] - HEAD - (index // columns + 1) * (tall + NAME)
        axes = figure.add_axes((x / size[0], y / size[1], cell / size[0], tall / size[1]))
        _draw(axes, template, limit)
        # No mathematics in other people's class names.
        name = caption(classes[index], 20 if columns <= 5 else 15)
        axes.set_title(name, fontsize=10 if columns <= 5 else 8, color=INK, pad=4, parse_math=False)

    some = "" if len(shown) == len(weight) else f": the first {len(shown)} of {len(weight)} classes"
    place = MARGIN / size[0]
    figure.text(place, 1 - 0.34 / size[1], f"Each row of w as an image{some}", fontsize=12, color=INK)
    words = "A class's score is the sum of w · x over all pixels x, and its b."
    figure.text(place, 1 - 0.58 / size[1], words, fontsize=8.5, color=QUIET)
    if channels == 1:
        _scale(figure, (size[0] / 2 - 1.4, 0.45, 2.8, 0.1), limit)
    else:
        figure.text(
            0.5, 0.4 / size[1], _colours_in_words(int(across * 14)), fontsize=8.5, color=QUIET, ha="center", va="center"
        )
    return rendered(figure, kind)


def _draw(axes: Axes, template: NDArray[np.float64], limit: float) -> None:
    if template.shape[2] == 1:
        axes.imshow(
            template[..., 0], cmap=FOR_AND_AGAINST, vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto"
        )
    else:
        axes.imshow((0.5 + template / (2 * _largest(template))).clip(0, 1), interpolation="nearest", aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.8)


def _colours_in_words(width: int) -> str:
    words = "Mid-grey is 0: a colour that is lighter speaks for the class, a darker one against it."
    return "\n".join((fill(words, width), "Each class has its own scale."))


def _largest(weights: NDArray[np.float64]) -> float:
    """What the colours reach to: without the few largest, beside which the others would fade."""
    sizes = np.abs(weights)
    return float(np.quantile(sizes, 0.995)) or float(sizes.max()) or 1.0


def _scale(figure: Figure, box: tuple[float, float, float, float], limit: float) -> None:
    """The colour bar below grey templates, in inches."""
    width, height = figure.get_size_inches()
    x, y, across, thick = box
    axes = figure.add_axes((x / width, y / height, across / width, thick / height))
    colours = ScalarMappable(Normalize(-limit, limit), FOR_AND_AGAINST)
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", ticks=[-limit, 0, limit], extend="both")
    bar.ax.set_xticklabels([f"−{limit:.2g}\nagainst the class", "0", f"{limit:.2g}\nfor the class"])
    bar.ax.tick_params(labelsize=8, labelcolor=QUIET, length=0, pad=3)
    bar.outline.set_visible(False)
