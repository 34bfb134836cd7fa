"""Augmentation: a photo is learned from in another guise each epoch, so that a net sees what does not matter.

Works on batches of uint8 pixels in NumPy, whatever engine trains on them. Every draw is keyed (`draws.py`): a photo's
guise in an epoch depends on seed, epoch and photo alone. Only mixup, which needs a second photo, looks at the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Pixels, Probabilities, one_hot
from kopal.errors import PixelsError, UsageError
from kopal.fit.draws import beta_quantile, uniforms
from kopal.fit.jitter import jitter
from kopal.fit.warp import UNIT, blend, boxes, warp, whole_pixels

Draw = Callable[[Sequence[str]], NDArray[np.float64]]

ERASED = (0.02, 0.33)
ERASED_ASPECT = 3.3
"""What is erased: shares of the area, and how much longer than wide (arXiv:1708.04896, torchvision's defaults)."""


@dataclass(frozen=True)
class Augment:
    """How much photos are changed while they are learned from; 0 leaves out.

    `flip` is the probability of a mirror image: not for digits, letters, or anything whose left and right differ.
    `shift` moves by up to so large a share of the side, as CIFAR's 4 pixels of 32 (arXiv:1512.03385). `resized_crop`
    is (least share of the area, most stretching of the sides' ratio), the rest is cut away (arXiv:1409.4842).
    `colour` is how far brightness, contrast and saturation stray from 1. `erase` is the probability that a rectangle
    is painted over (arXiv:1708.04896). `mixup` is alpha: photos and targets are blended with weights of Beta(alpha,
    alpha), 0.2 mostly of one photo, 1 anything (arXiv:1710.09412).

    Raises `UsageError` for a knob out of range.
    """

    flip: float = 0.0
    shift: float = 0.0
    resized_crop: tuple[float, float] = (0.0, 1.0)
    colour: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for knob, most in (("flip", 1.0), ("shift", 0.5), ("colour", 1.0), ("erase", 1.0)):
            if not 0 <= getattr(self, knob) <= most:
                raise UsageError(f"augmentation with {knob} {getattr(self, knob)}", f"0 to {most:g}")
        if len(self.resized_crop) != 2 or not (0 <= self.resized_crop[0] <= 1 and 1 <= self.resized_crop[1] <= 10):
            raise UsageError(
                f"augmentation with resized_crop {self.resized_crop}",
                "the least share of the area, 0 to 1, and the most stretching, 1 to 10, such as (0.25, 1.33)",
            )
        if not (self.mixup == 0 or 0.01 <= self.mixup <= 100):
            raise UsageError(f"augmentation with mixup {self.mixup}", "0, or alpha from 0.01 to 100")

    def apply(
        self, pixels: Pixels, labels: Labels, images: NDArray[np.int64], seed: int, epoch: int, classes: int
    ) -> tuple[Pixels, Labels | Probabilities]:
        """Pixels uint8 (N, H, W, C), labels (N,) and the photos' indices in the training set (N,) → both as learned.

        Labels stay labels, with mixup they become distributions (N, K) float32 over `classes`. The input is not
        changed, and is given back itself where there is nothing to do. A photo that comes twice in an epoch looks the
        same unless its second coming has an index of its own. Raises `PixelsError` for arrays that do not fit.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or 0 in pixels.shape[1:3]:
            raise PixelsError(f"pixels {pixels.dtype} {pixels.shape} to augment", "uint8 (N, H, W, C) with C 1 or 3")
        if not len(pixels) == len(labels) == len(images):
            raise PixelsError(
                f"{len(pixels)} photos, {len(labels)} labels, {len(images)} indices", "as many of each, to augment"
            )
        if not len(pixels):
            return pixels, one_hot(labels, classes).astype(np.float32) if self.mixup else labels
        draw = partial(uniforms, seed, epoch, images)
        if self.flip or self.shift or self.resized_crop[0]:
            pixels = self._moved(pixels, draw)
        if self.colour:
            pixels = jitter(pixels, *(1 + self.colour * (2 * draw(("brightness", "contrast", "saturation")) - 1)))
        if self.erase:
            pixels = self._erased(pixels, draw)
        if self.mixup:
            return self._mixed(pixels, one_hot(labels, classes).astype(np.float32), draw)
        return pixels, labels

    def _moved(self, pixels: Pixels, draw: Draw) -> Pixels:
        flip, down, right = draw(("flip", "down", "right"))
        reach = [round(self.shift * side) for side in pixels.shape[1:3]]
        down, right = (
            np.floor(number * (2 * most + 1)) - most for number, most in zip((down, right), reach, strict=True)
        )
        least, most = self.resized_crop
        crop = None
        if least:
            area, aspect, top, left = draw(("crop area", "crop aspect", "crop top", "crop left"))
            crop = boxes(least + (1 - least) * area, aspect, top, left, most)
        return warp(pixels, flip < self.flip, down.astype(np.int64), right.astype(np.int64), crop)

    def _erased(self, pixels: Pixels, draw: Draw) -> Pixels:
        chosen, area, aspect, top, left = draw(("erase", "erase area", "erase aspect", "erase top", "erase left"))
        box = boxes(ERASED[0] + (ERASED[1] - ERASED[0]) * area, aspect, top, left, ERASED_ASPECT)
        inside = (chosen < self.erase)[:, None, None]
        for axis, (start, length) in enumerate(((box.top, box.height), (box.left, box.width)), start=1):
            side = pixels.shape[axis]
            first, end = (np.rint(edge * side)[:, None] for edge in (start, start + length))
            inside = inside & np.expand_dims((np.arange(side) >= first) & (np.arange(side) < end), 3 - axis)
        paint = (256 * draw(("red", "green", "blue")[: pixels.shape[3]])).astype(np.uint8)
        painted = np.array(pixels, order="C")
        np.copyto(whole_pixels(painted), whole_pixels(paint.T[:, None, None]), where=inside)
        return painted

    def _mixed(self, pixels: Pixels, targets: Probabilities, draw: Draw) -> tuple[Pixels, Probabilities]:
        """Blend each photo with another of the batch: the next in a circle that is dealt by keyed numbers.

        So the partner depends on which photos are in the batch, though not on their order. A photo keeps at least
        half of itself: as its partner is as likely the other way about, pairs and weights are distributed as ever,
        and an epoch still shows every photo.
        """
        partner, share = pairs(self.mixup, *draw(("partner", "mixup")))
        kept = np.rint(UNIT * share).astype(np.uint16)
        own = kept.astype(np.float32)[:, None] / np.float32(UNIT)
        return blend(pixels[partner], pixels, kept[:, None, None, None]), own * targets + (1 - own) * targets[partner]


def pairs(
    alpha: float, deal: NDArray[np.float64], share: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Mixup's draws (N,), (N,) → each photo's partner in the batch, and the share, at least half, kept of itself."""
    circle = np.argsort(deal, kind="stable")
    partner = np.empty_like(circle)
    partner[circle] = np.roll(circle, -1)
    return partner, beta_quantile(alpha, 0.5 + share / 2)


PRESETS: Mapping[str, Augment] = MappingProxyType(
    {
        "none": Augment(),
        # Shifts alone leave digits and letters what they are; mirrors do not.
        "light": Augment(shift=0.125),
        "medium": Augment(flip=0.5, shift=0.125, colour=0.1, erase=0.25),
        "strong": Augment(flip=0.5, shift=0.125, resized_crop=(0.35, 4 / 3), colour=0.3, erase=0.25, mixup=0.2),
    }
)
