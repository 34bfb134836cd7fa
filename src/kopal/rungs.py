"""The ladder's steps, and a rung as it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One rung to climb: its name, the knobs of its recipe, and the share of the time left that it may take.

    What a rung that comes `first` needs is set aside before the rungs below it are given any time.
    """

    name: str
    knobs: dict[str, Any]
    share: float
    first: bool = False


STEPS = (
    Step("linear on pixels", {"net": "linear", "image_size": 32}, 0.1),
    Step("perceptron", {"net": "mlp", "image_size": 32}, 0.1),
    Step("small convolutional net", {"net": "resnet9", "image_size": 32, "augment": "medium"}, 0.35),
    Step("frozen features", {}, 1.0, first=True),
    Step("fine-tuned", {"tune": "last:4"}, 1.0, first=True),
)
"""From the least to the most; a step's seconds that are left over go to the steps after it."""


@dataclass(frozen=True)
class Rung:
    """A step as it went: accuracy on the test part, its 95 % interval, seconds, parameters; or why it is missing."""

    name: str
    accuracy: float
    interval: tuple[float, float]
    n: int
    seconds: float
    parameters: int
    folder: str = ""
    left_out: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "interval": list(self.interval)}
