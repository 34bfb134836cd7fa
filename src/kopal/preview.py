"""A sheet of what a net will see while it learns: photos of a set beside what augmentation makes of them."""

from __future__ import annotations

import numpy as np

from kopal import images
from kopal.arrays import Pixels
from kopal.datasets import Data, Dataset, open_dataset
from kopal.errors import DataError, UnreadableImage
from kopal.fit.augment import PRESETS
from kopal.fit.scratch import geometry
from kopal.images import Geometry
from kopal.recipes import Recipe
from kopal.report.augment_sheet import ROWS, augment_sheet

TRIED = 20


def preview(data: Data, recipe: Recipe, kind: str = "png") -> bytes:
    """One photo each of a few classes, read as the recipe would, and its guises in the first epochs, as a picture."""
    dataset = open_dataset(data)
    shape = geometry(recipe, dataset)
    chosen = {}
    for label in np.unique(np.linspace(0, len(dataset.classes) - 1, ROWS).astype(int)):
        if (pixels := _first_readable(dataset, int(label), shape)) is not None:
            chosen[int(label)] = pixels
    if not chosen:
        raise DataError("none of the first photos can be read", "photos to draw")
    pixels, labels = np.stack(list(chosen.values())), np.array(list(chosen))
    return augment_sheet(pixels, labels, dataset.classes, PRESETS[recipe.augment], recipe.seed, kind=kind)


def _first_readable(dataset: Dataset, label: int, shape: Geometry) -> Pixels | None:
    own = [index for index, other in enumerate(dataset.labels) if other == label]
    for index in own[:TRIED]:
        try:
            return images.read(dataset.read(index), shape)
        except UnreadableImage:
            continue
    return None
