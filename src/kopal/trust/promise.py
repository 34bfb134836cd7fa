"""What a model promises beside its probabilities: sets that hold the true class, answers that are rarely wrong.

Both are fitted on photos that it never learned from, stand in the model file, and are kept by answering less: with
several names, or with "unsure".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Probabilities
from kopal.errors import ModelFileError, UsageError
from kopal.trust.conformal import Method, Sets, fit_sets
from kopal.trust.reliability import confidences
from kopal.trust.selective import Floor, choose_floor

COVERAGE, MAX_ERROR = "coverage", "max_error"
"""Keys of a card's thresholds."""
UNSURE = "unsure"
SHORT = 3
"""Names at most in a list that is still an answer; and never all classes."""
_ANEW = "a card as kopal writes it", "copy the file again, or train anew with kopal train"


@dataclass(frozen=True)
class Promise:
    """How a model answers: with `sets` that hold the true class with chance `coverage` (0: not asked for), and only
    from the confidence of its `floor` on, where there is one.
    """

    coverage: float = 0.0
    sets: Sets | None = None
    floor: Floor | None = None

    @staticmethod
    def of_card(thresholds: Mapping[str, Any], classes: int, coverage: float | None = None) -> Promise:
        """The promise that a card's thresholds hold, for a coverage of the owner's choice or the one trained for.

        Raises `UsageError` where the model has no thresholds for that, `ModelFileError` for damaged ones.
        """
        held, floor = thresholds.get(COVERAGE), thresholds.get(MAX_ERROR)
        try:
            sets = Sets.from_json(held, classes) if held is not None else None
            asked = float(held["asked"]) if held is not None else 0.0
            least = Floor.from_json(floor) if floor is not None else None
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ModelFileError(f"the model's thresholds are damaged: {error}", *_ANEW) from error
        if coverage is not None and sets is None:
            raise UsageError(
                f"--coverage {coverage:g} of a model without thresholds for it",
                "a model that kopal train calibrated; an ensemble is not",
                "train anew with kopal train",
            )
        promise = Promise(asked if coverage is None else coverage, sets, least)
        if promise.coverage and sets is not None:
            sets.level(promise.coverage)
        return promise

    def in_words(self) -> str:
        """What is promised, for `inspect`; nothing where nothing is."""
        told = []
        if self.coverage and self.sets is not None:
            told.append(f"sets that hold the true class with chance {self.coverage:g} ({self.sets.method})")
        if self.floor is not None:
            told.append(f"errors below {self.floor.max_error:g} from a probability of {self.floor.confidence:.3f} on")
        return "; ".join(told)

    def as_thresholds(self) -> dict[str, Any]:
        """What `of_card` reads."""
        value: dict[str, Any] = {}
        if self.sets is not None:
            value[COVERAGE] = {"asked": self.coverage} | self.sets.as_json()
        return value | ({MAX_ERROR: self.floor.as_json()} if self.floor else {})

    def answer(self, probabilities: NDArray[np.float32], order: Sequence[int]) -> tuple[tuple[int, ...] | None, str]:
        """One photo's probabilities (K,) and its classes, best first → those in its set, and why it is unsure or "".

        None in place of a set where none was asked for. Unsure: the set is empty, or too long to be of use (more than
        three names, or all), or the answer is less sure than the floor.
        """
        why, chosen = "", None
        if self.coverage and self.sets is not None:
            inside = self.sets.members(probabilities[None], self.coverage)[0]
            chosen = tuple(index for index in order if inside[index])
            why = unsure(len(chosen), len(probabilities))
        if self.floor and float(probabilities.max()) < self.floor.confidence:
            why = (
                why or f"less sure than the {self.floor.confidence:.3f} that errors below {self.floor.max_error:g} take"
            )
        return chosen, why


def in_words(names: Sequence[str], why_unsure: str) -> str:
    """An answer in words: a name, several joined by or, or unsure."""
    return UNSURE if why_unsure else " or ".join(names)


def in_names(promise: Promise, probabilities: Probabilities, classes: Sequence[str]) -> tuple[str, ...]:
    """Probabilities (N, K) → what is answered, `in_words`."""
    said = []
    for row in probabilities:
        order = np.argsort(-row, kind="stable").tolist()
        inside, why = promise.answer(row, order)
        chosen = order[:1] if inside is None else inside
        said.append(in_words([classes[index] for index in chosen], why))
    return tuple(said)


def unsure(size: int, classes: int) -> str:
    """Why a set of so many classes is no answer, or nothing."""
    if size == 0:
        return "no class is likely enough"
    return f"{size} of {classes} classes are possible" if size > SHORT or size == classes else ""


def make_promise(
    probabilities: Probabilities,
    labels: Labels,
    coverage: float = 0.0,
    method: Method = "lac",
    max_error: float = 0.0,
    out_of_fold: bool = False,
) -> Promise:
    """Calibration photos, (N, K) and (N,), that the model never learned from → what it can promise."""
    if not len(labels):
        return Promise()
    sets = fit_sets(probabilities, labels, method, coverage, out_of_fold)
    floor = choose_floor(*confidences(probabilities, labels), max_error) if max_error else None
    return Promise(coverage, sets, floor)
