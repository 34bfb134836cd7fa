"""One picture of answers on photos that the model never saw: right ones above, wrong ones below."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kopal import images
from kopal.datasets import Source
from kopal.images import Geometry
from kopal.run_tables import Answers

COLUMNS = 6
RIGHT, WRONG = "#1a7f37", "#b42318"


def predictions_picture(answers: Answers, classes: Sequence[str], source: Source, seed: int = 0) -> bytes:
    """A PNG of up to 12 right and 12 wrong answers with their probabilities, drawn at random by `seed`."""
    predicted = answers.probabilities.argmax(axis=1)
    hit = predicted == answers.labels
    rng = np.random.default_rng(seed)
    right, wrong = (rng.permutation(np.flatnonzero(which))[: 2 * COLUMNS] for which in (hit, ~hit))
    rows = -(-len(right) // COLUMNS) + -(-len(wrong) // COLUMNS)
    figure = Figure(figsize=(2.05 * COLUMNS, 2.35 * rows + 0.9), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{hit.sum()} of {len(hit)} held-out photos right ({hit.mean():.1%}). Below: {len(right)} right answers, "
        f"then {len(wrong)} of the {(~hit).sum()} wrong ones",
        fontsize=11,
    )
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    cells = iter(grid.flat)
    for chosen, colour in ((right, RIGHT), (wrong, WRONG)):
        for index in chosen:
            truth, said = classes[answers.labels[index]], classes[predicted[index]]
            caption = f"{said} {answers.probabilities[index].max():.0%}"
            caption = caption if truth == said else f"{caption}\nis {truth}"
            _draw(next(cells), source.read(answers.names[index]), caption, colour)
        for _ in range(-len(chosen) % COLUMNS):
            next(cells)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Axes, data: bytes, caption: str, colour: str) -> None:
    image = images.decode(data, Geometry(256, 256))
    smooth = "nearest" if max(image.size) <= 64 else "antialiased"
    axes.imshow(np.asarray(image.convert("RGB")), interpolation=smooth)
    # No mathematics and no font surprises in other people's class names.
    axes.set_title(caption, fontsize=9, color=colour, parse_math=False)
