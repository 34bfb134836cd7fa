"""The answer for one photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kopal.model_file import UNKNOWN
from kopal.trust.promise import in_words


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo: the winner, and the best classes with their probabilities, best first.

    Where the photo could not be read, `unreadable` says why, `label` is empty and `top` has no rows.

    Where the model has promised a coverage, `candidates` are the classes of its set, best first; else they are None.
    `unsure` says why nothing should be made of the answer, and is empty where it is one. With `unknown` the photo is
    likely of none of the classes: its `unknown_score`, where the model gives one, is above the model's threshold.
    """

    path: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    unreadable: str = ""
    candidates: tuple[tuple[str, float], ...] | None = None
    unsure: str = ""
    unknown: bool = False
    unknown_score: float | None = None

    @property
    def said(self) -> str:
        """The answer in words: a name, several, unsure, or unknown."""
        names = [label for label, _ in self.candidates or self.top[:1]]
        return UNKNOWN if self.unknown else in_words(names, self.unsure)

    def as_json(self, top: int | None = None) -> dict[str, Any]:
        """Plain values of an answer: its label, its `top` best classes (all there are), how far they are to be trusted.

        Every key is always there, so that a reader need not ask which: `why_unsure` is "" where the answer is one,
        `candidates`, `unknown` and `unknown_score` are null where the model cannot tell.
        """
        return {
            "label": self.label,
            "probability": self.probability,
            "top": [{"label": label, "probability": share} for label, share in self.top[:top]],
            "unsure": bool(self.unsure),
            "why_unsure": self.unsure,
            "candidates": None if self.candidates is None else [label for label, _ in self.candidates],
            "unknown": None if self.unknown_score is None else self.unknown,
            "unknown_score": self.unknown_score,
        }
