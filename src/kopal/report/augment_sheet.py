"""A sheet of photos beside their augmented versions: whether a photo is still what its label says, seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from kopal.arrays import Labels, Pixels
from kopal.errors import DataError
from kopal.fit.augment import PRESETS, Augment
from kopal.report.figure import rendered
from kopal.report.formats import caption

ROWS, VERSIONS = 6, 7
INK, QUIET = "#222222", "#666666"

# inches
CELL, GAP, NAMES, HEAD, FOOT, MARGIN, MIXED = 1.0, 0.06, 1.55, 0.95, 0.2, 0.2, 0.17


def augment_sheet(
    pixels: Pixels,
    labels: Labels,
    classes: Sequence[str],
    augment: Augment,
    seed: int = 0,
    images: ArrayLike | None = None,
    kind: str = "png",
) -> bytes:
    """Pixels uint8 (N, H, W, C), labels (N,) → the bytes of a picture: a row for a photo of each of up to 6 classes.

    First the photo, then what a training with this seed learns from in epochs 1 to 7. `images` are the photos' indices
    in the training set, if not 0 to N - 1. Mixup takes its partners from the sheet, in a training from the batch.
    Raises `DataError` where there is nothing to show, `PixelsError` for arrays that do not fit.
    """
    if not len(labels) or not 0 <= int(np.min(labels)) <= int(np.max(labels)) < len(classes):
        raise DataError(
            f"{len(labels)} photos of {len(classes)} classes to show",
            "at least one photo, and labels that are positions in the list of classes",
        )
    chosen = _one_a_class(labels, seed)
    photos, truth = pixels[chosen], labels[chosen]
    keys = chosen if images is None else np.asarray(images, np.int64)[chosen]
    versions = [augment.apply(photos, truth, keys, seed, epoch, len(classes)) for epoch in range(1, VERSIONS + 1)]

    tall = CELL * min(max(pixels.shape[1] / pixels.shape[2], 0.4), 2.5)
    step = tall + GAP + (MIXED if augment.mixup else 0)
    size = 2 * MARGIN + NAMES + (VERSIONS + 1) * (CELL + GAP) + GAP, HEAD + len(chosen) * step + FOOT
    figure = Figure(figsize=size, facecolor="white")
    _write(figure, MARGIN, 0.3, f"Augmentation: {_preset(augment)}", 12, INK)
    _write(figure, MARGIN, 0.38, fill(in_words(augment), 140), 8.5, QUIET, "top")
    for row in range(len(chosen)):
        top = HEAD + row * step
        # The field of a name is narrow: a long one takes two lines or three.
        name = fill(caption(classes[truth[row]], 32), 16)
        _write(figure, MARGIN, top + tall / 2, name, 10, INK, "center")
        for column in range(VERSIONS + 1):
            left = MARGIN + NAMES + column * (CELL + GAP) + (GAP if column else -GAP)
            shown, targets = (photos, truth) if column == 0 else versions[column - 1]
            box = left / size[0], 1 - (top + tall) / size[1], CELL / size[0], tall / size[1]
            _draw(figure.add_axes(box), shown[row])
            if row == 0:
                above = "as it is" if column == 0 else f"epoch {column}"
                _write(figure, left, HEAD - 0.08, above, 8.5, QUIET)
            if targets.ndim == 2:
                _write(figure, left, top + tall + 0.12, _other(targets[row], int(truth[row]), classes), 6.5, QUIET)
    return rendered(figure, kind)


def in_words(augment: Augment) -> str:
    """The settings that are on, as one line."""
    least, most = augment.resized_crop
    said = (
        (augment.flip, f"mirrored with probability {augment.flip:g}"),
        (augment.shift, f"shifted by up to {augment.shift:.3g} of the side"),
        (least, f"cropped to {least:.3g} to 1 of the area, sides' ratio within {most:.3g}"),
        (augment.colour, f"brightness, contrast and saturation × 1 ± {augment.colour:g}"),
        (augment.erase, f"a rectangle erased with probability {augment.erase:g}"),
        (augment.mixup, f"blended with another photo, mixup α {augment.mixup:g}"),
    )
    return " · ".join(words for on, words in said if on) or "photos are learned from as they are"


def _preset(augment: Augment) -> str:
    return next((name for name, preset in PRESETS.items() if preset == augment), "own settings")


def _one_a_class(labels: Labels, seed: int) -> NDArray[np.int64]:
    """A photo of each class, by seed; of more than `ROWS` classes, some."""
    order = np.random.default_rng(seed).permutation(len(labels))
    _, first = np.unique(labels[order], return_index=True)
    chosen = order[np.sort(first)][:ROWS]
    return np.asarray(chosen[np.argsort(labels[chosen])])


def _other(target: NDArray[np.floating], own: int, classes: Sequence[str]) -> str:
    """What mixup blended in: "+ 37% pes", or nothing."""
    rest = target.copy()
    rest[own] = 0
    other = int(rest.argmax())
    return f"+ {rest[other]:.0%} {caption(classes[other], 10)}" if rest[other] >= 0.005 else ""


def _draw(axes: Axes, photo: Pixels) -> None:
    smooth = "nearest" if max(photo.shape[:2]) <= 64 else "antialiased"
    picture = photo if photo.shape[2] == 3 else photo[..., 0]
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation=smooth, aspect="auto")
    axes.set_axis_off()


def _write(figure: Figure, x: float, y: float, words: str, points: float, colour: str, at: str = "baseline") -> None:
    """Text at inches from the left and the top: its baseline, its top or its center is there."""
    width, height = figure.get_size_inches()
    # No mathematics in other people's class names.
    figure.text(x / width, 1 - y / height, words, fontsize=points, color=colour, va=at, parse_math=False)
