"""Where in a photo an answer comes from: a map over the photo, computed from the model file alone.

Where the scores are a linear function of the means of planes, as in most convolutional nets, the map is exact: the
class activation map (arXiv:1512.04150), whose mean is the score. Elsewhere parts of the photo are covered in turn, and
what the score loses is what they were worth (arXiv:1311.2901).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from kopal.arrays import Pixels, Scores
from kopal.backends.onnx_maps import planes
from kopal.classifier import Classifier
from kopal.errors import PixelsError
from kopal.model_file import golden_pixels
from kopal.parallel import chunks, ordered
from kopal.runtime import images_per_run, run_session, session

Method: TypeAlias = Literal["class activation map", "occlusion"]
Scoring: TypeAlias = Callable[[Iterator[Pixels]], Iterable[Scores]]
"""Pieces of pixels (N, H, W, C), as few as the net takes at once → the scores (N, K) of each, in order."""

EXACT = 1e-3
"""How far, as a share of the scores' range, the means of the maps may be from the scores and still be called them."""
ACROSS = 7
"""Covers side by side. They overlap by half, so that no border of theirs decides."""
_NOTHING = slice(0), slice(0)


@dataclass(frozen=True)
class Attribution:
    """What each place of a photo does for a class: `worth` (h, w) float32, in units of the scores.

    Above 0 it speaks for the class, below against it, compared with the mean of all classes: what is the same for all
    changes no probability. The mean of a class activation map is the class's score above that mean, but for what is
    the same on every photo. An occlusion map has at each place what the score loses where it is covered.
    """

    worth: NDArray[np.float32]
    method: Method

    def in_words(self) -> str:
        """Where the strongest evidence for the class lies, such as "most at the upper left (class activation map)"."""
        down, right = (int(place) for place in np.unravel_index(int(self.worth.argmax()), self.worth.shape))
        vertical = ("upper", "middle", "lower")[3 * down // self.worth.shape[0]]
        across = ("left", "middle", "right")[3 * right // self.worth.shape[1]]
        where = "in the middle" if (vertical, across) == ("middle", "middle") else f"at the {vertical} {across}"
        return f"most {where} of the photo ({self.method})"

    def stretched(self, height: int, width: int) -> NDArray[np.float32]:
        """The map at a photo's size, (height, width), between its places bilinear."""
        whole = Image.fromarray(self.worth).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(whole, np.float32)


@final
class Attributor:
    """A classifier with the part of its graph that maps need; makes as many maps as wanted."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def map(self, pixels: Pixels, label: int, scoring: Scoring | None = None) -> Attribution:
        """One photo's pixels uint8 (H, W, C) and a class's place → its map. Raises `PixelsError`.

        Covers take the net some 170 times: whoever has to do other things meanwhile, or may have to stop, gives a
        `scoring` that does; without one all cores score.
        """
        if pixels.shape != self._classifier.geometry.shape or pixels.dtype != np.uint8:
            raise PixelsError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}",
                f"uint8 of shape {self._classifier.geometry.shape}",
                "kopal.images.read(file, classifier.geometry) makes them from a photo",
            )
        if not 0 <= label < len(self._classifier.classes):
            raise PixelsError(f"class {label} of a model with {len(self._classifier.classes)}", "the place of a class")
        if self._planes is None:
            return Attribution(self._occluded(pixels, label, scoring or self._on_all_cores), "occlusion")
        runner, weight = self._planes
        found = run_session(runner, pixels[None], self._classifier.geometry)[0][0]
        apart = weight[:, label] - weight.mean(axis=1)
        return Attribution(np.tensordot(apart, found, axes=1).astype(np.float32), "class activation map")

    @cached_property
    def _planes(self) -> tuple[onnxruntime.InferenceSession, NDArray[np.float32]] | None:
        """What computes the planes, and the head's weights (D, K); None where the scores are not made of them."""
        found = planes(self._classifier.graph())
        if found is None:
            return None
        runner, geometry = session(found.model.SerializeToString()), self._classifier.geometry
        noise = golden_pixels(geometry)
        made = run_session(runner, noise, geometry)[0]
        if made.ndim != 4 or made.shape[:2] != (len(noise), len(found.weight)):
            return None
        # What a photo adds to the scores is compared on two of them, so that nothing need be known of the bias.
        ours = np.diff(made.mean(axis=(2, 3)) @ found.weight, axis=0)
        theirs = np.diff(self._classifier.scores(noise), axis=0)
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max() <= EXACT * max(1.0, float(np.ptp(theirs))):
            return None
        return runner, found.weight

    def _on_all_cores(self, pieces: Iterator[Pixels]) -> Iterator[Scores]:
        return ordered(self._classifier.scores, pieces)

    def _occluded(self, pixels: Pixels, label: int, scoring: Scoring) -> NDArray[np.float32]:
        height, width, _ = pixels.shape
        # The mean colour says as little as one colour can.
        plain = pixels.reshape(-1, pixels.shape[2]).mean(axis=0).round().astype(np.uint8)
        boxes = [(down, right) for down in _covers(height) for right in _covers(width)]
        at_once = images_per_run(self._classifier.geometry)
        pieces = (_covered(pixels, plain, some) for some in chunks([_NOTHING, *boxes], at_once))
        scores = np.concatenate(list(scoring(pieces)))
        apart = scores[:, label] - scores.mean(axis=1)
        lost, times = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        for (down, right), worth in zip(boxes, apart[0] - apart[1:], strict=True):
            lost[down, right] += worth
            times[down, right] += 1
        return lost / times


def _covered(pixels: Pixels, plain: NDArray[np.uint8], boxes: list[tuple[slice, slice]]) -> Pixels:
    images = np.repeat(pixels[None], len(boxes), axis=0)
    for image, (down, right) in zip(images, boxes, strict=True):
        image[down, right] = plain
    return images


def _covers(side: int) -> list[slice]:
    """Overlapping stretches that cover a side wholly."""
    long = max(1, -(-side // ACROSS))
    step = max(1, long // 2)
    starts = sorted({*range(0, side - long + 1, step), side - long})
    return [slice(start, start + long) for start in starts]
