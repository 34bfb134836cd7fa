"""What the frozen half of a net makes of the photos and of their mirror images, computed once and kept for all epochs.

ONNX Runtime computes them: as the half is frozen no gradient is wanted, and it is five times as fast as PyTorch there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, one_hot
from kopal.backends.onnx_backend import activation_model
from kopal.classifier import BATCH
from kopal.fit.augment import Augment, pairs
from kopal.fit.cut import Halves
from kopal.fit.draws import uniforms
from kopal.fit.learner import Photographs, Targets
from kopal.fit.loop import Prepare
from kopal.images import Geometry
from kopal.nets.fold import Weights
from kopal.parallel import chunks, ordered
from kopal.runtime import run_session, session

MOST_BYTES = 2 << 30
KIND = np.float16
_LARGEST = float(np.finfo(KIND).max)


def fits(cut: Halves, learning: int, validation: int, mirrored: bool) -> bool:
    """Whether the activations of so many photos have room in memory."""
    return prod(cut.upper.image) * KIND().itemsize * (learning * (1 + mirrored) + validation) <= MOST_BYTES


def computed(
    cut: Halves,
    weights: Weights,
    photographs: Photographs,
    geometry: Geometry,
    mirrored: bool | None = None,
    step: Callable[[int], None] = lambda photos: None,
) -> Photographs:
    """Photos → their activations float16 (N, H, W, C); with `mirrored` False or True (N, 1 or 2, H, W, C), the photo
    and its mirror image. `step` hears of every few photos done.
    """
    graph = session(activation_model(cut.lower, weights).SerializeToString())
    guises = (slice(None), slice(None, None, -1))[: 1 + bool(mirrored)]
    kept = np.empty((len(photographs), len(guises), *cut.upper.image), KIND)

    def below(rows: Sequence[int]) -> Sequence[int]:
        pixels = photographs.take(np.array(rows))
        for number, order in enumerate(guises):
            found = run_session(graph, pixels[:, :, order], geometry)[0]
            planes = found.reshape(len(rows), cut.upper.image[2], *cut.upper.image[:2])
            kept[rows, number] = np.clip(planes.transpose(0, 2, 3, 1), -_LARGEST, _LARGEST)
        return rows

    for rows in ordered(below, chunks(range(len(photographs)), BATCH)):
        step(len(rows))
    return Photographs(kept[:, 0] if mirrored is None else kept, photographs.labels)


def guises(augment: Augment, seed: int, classes: int) -> Prepare:
    """What of an augmentation can be done to activations (n, 1 or 2, H, W, C): the mirror image, and mixup of what the
    frozen half made of two photos (arXiv:1806.05236); the same draws as for pixels.
    """

    def prepare(
        pixels: NDArray[Any], labels: Labels, images: NDArray[np.int64], epoch: int
    ) -> tuple[NDArray[Any], Targets]:
        flip, deal, share = uniforms(seed, epoch, images, ("flip", "partner", "mixup"))
        mirrored = (flip < augment.flip) & (pixels.shape[1] > 1)
        own: NDArray[np.float32] = pixels[np.arange(len(pixels)), mirrored.astype(np.int64)].astype(np.float32)
        if not augment.mixup:
            return own, labels
        partner, kept = pairs(augment.mixup, deal, share)
        targets, weight = one_hot(labels, classes).astype(np.float32), kept.astype(np.float32)
        beside = weight[:, None, None, None]
        mixed = beside * own + (1 - beside) * own[partner]
        return mixed, weight[:, None] * targets + (1 - weight[:, None]) * targets[partner]

    return prepare


def counted(total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """A `step` that tells how many photos of all are done."""
    done = 0

    def step(photos: int) -> None:
        nonlocal done
        done += photos
        progress(done, total)

    return step
