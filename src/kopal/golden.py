"""Whether this machine answers as the one that made a model file: its golden outputs, compared with today's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import softmax
from kopal.errors import ModelFileError
from kopal.model_file import Card
from kopal.runtime import TRAIN_ANEW

TOLERANCE = 1e-4
TOLERANCE_INT8 = 0.05
"""The most that a probability of a net in whole numbers may differ between processors; the labels may not."""
_UPDATE = "update onnxruntime, or train anew on this machine"


def check_golden(card: Card, found: Sequence[NDArray[Any]], int8: bool) -> float:
    """Today's outputs for the golden pixels, as the graph orders them → the largest difference from the card's,
    relative to the range of the scores.

    Raises `ModelFileError` above 1e-4. A net in whole numbers must name the same classes and stay within 0.05.
    """
    now, _, _, *more = found
    then = np.array(card.golden, np.float64)
    if then.shape != now.shape:
        raise ModelFileError("the file holds no golden outputs", f"scores of shape {now.shape}", TRAIN_ANEW[1])
    difference = float(np.abs(now - then).max() / max(1.0, np.ptp(then)))
    far = np.array(card.golden_unknown, np.float64)
    if more and far.shape != more[0].shape:
        raise ModelFileError("the file holds no golden `unknown`", "2 numbers", TRAIN_ANEW[1])
    if int8:
        _check_int8(then / card.temperature, now.astype(np.float64) / card.temperature)
        return difference
    if more:
        difference = max(difference, float((np.abs(more[0] - far) / np.maximum(1.0, far)).max()))
    if not difference <= TOLERANCE:
        raise ModelFileError(
            f"the golden outputs differ by {difference:.2g} of their range", f"at most {TOLERANCE:g}", _UPDATE
        )
    return difference


def _check_int8(then: NDArray[np.float64], now: NDArray[np.float64]) -> None:
    before, after = softmax(then), softmax(now)
    moved = float(np.abs(after - before).max())
    if not moved <= TOLERANCE_INT8 or (before.argmax(axis=1) != after.argmax(axis=1)).any():
        raise ModelFileError(
            f"the golden probabilities differ by {moved:.2g}, or name other classes",
            f"the same classes, and at most {TOLERANCE_INT8:g}",
            _UPDATE,
        )
