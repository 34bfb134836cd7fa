"""Whether promises are kept: what was promised of sets and errors, and what came of it on other photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from kopal.arrays import Labels, Probabilities
from kopal.trust.conformal import Method, coverage_band, fewest, fit_sets, sizes
from kopal.trust.promise import Promise, unsure
from kopal.trust.reliability import confidences
from kopal.trust.selective import Floor, fewest_accepted


@dataclass(frozen=True)
class CoverageCheck:
    """The promised coverage, and what was `found` on `n` photos, which lies in the `band` in 95 of 100 cases.

    `calibrated_on` so many photos, other ones. `one`, `several` and `unsure` are the shares of answers of each kind;
    `too_few` photos (0: enough) are what the model's own thresholds stand on.
    """

    promised: float
    found: float
    n: int
    band: tuple[float, float]
    method: Method
    calibrated_on: int
    out_of_fold: bool
    one: float
    several: float
    unsure: float
    too_few: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, as report.json has them under "coverage"."""
        return asdict(self) | {"band": list(self.band), "kept": self.found >= self.band[0]}


@dataclass(frozen=True)
class FloorCheck:
    """What became of `max_error`: the floor, or None where it cannot be promised on `photos` photos; and on `n` photos
    of a test part (0: there is none) how many were `answered`, with how many `errors`.
    """

    max_error: float
    floor: Floor | None
    photos: int
    n: int = 0
    answered: int = 0
    errors: int = 0

    @property
    def fewest(self) -> int:
        """How many sure answers without an error the promise takes at least."""
        return fewest_accepted(self.max_error)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as report.json has them under "max_error"."""
        return asdict(self)


def check_coverage(promise: Promise, probabilities: Probabilities, labels: Labels) -> CoverageCheck | None:
    """The sets of photos that neither model nor thresholds have seen, (N, K) and (N,); None where none were asked."""
    if not (promise.coverage and promise.sets is not None and len(labels)):
        return None
    members = promise.sets.members(probabilities, promise.coverage)
    found = float(np.take_along_axis(members, labels[:, None], axis=1).mean())
    size, classes = sizes(members), members.shape[1]
    lost = np.array([bool(unsure(int(count), classes)) for count in size])
    return CoverageCheck(
        promise.coverage,
        found,
        len(labels),
        coverage_band(promise.sets, promise.coverage, labels),
        promise.sets.method,
        sum(promise.sets.photos),
        promise.sets.out_of_fold,
        float(((size == 1) & ~lost).mean()),
        float(((size > 1) & ~lost).mean()),
        float(lost.mean()),
        promise.sets.too_few(promise.coverage),
    )


def check_on_halves(
    promise: Promise, probabilities: Probabilities, labels: Labels, seed: int = 0
) -> CoverageCheck | None:
    """The same without a test part: thresholds from one half of the calibration photos, checked on the other.

    The model keeps the thresholds of all. Where half are too few for the promise, it takes as many as that needs.
    """
    if not (promise.coverage and promise.sets is not None and len(labels) > 1):
        return None
    size = min(len(labels) - 1, max(len(labels) // 2, fewest(promise.coverage)))
    half = np.random.default_rng(seed).permutation(len(labels)) < size
    fitted = fit_sets(
        probabilities[half], labels[half], promise.sets.method, promise.coverage, promise.sets.out_of_fold
    )
    check = check_coverage(replace(promise, sets=fitted), probabilities[~half], labels[~half])
    return replace(check, too_few=promise.sets.too_few(promise.coverage)) if check else None


def check_floor(
    promise: Promise, max_error: float, photos: int, probabilities: Probabilities, labels: Labels
) -> FloorCheck | None:
    """What became of `max_error` on `photos` calibration photos, and on the test photos (N, K), (N,), if any."""
    if not max_error:
        return None
    if promise.floor is None:
        return FloorCheck(max_error, None, photos, len(labels))
    confidence, right = confidences(probabilities, labels)
    answered = confidence >= promise.floor.confidence
    return FloorCheck(
        max_error, promise.floor, photos, len(labels), int(answered.sum()), int((answered & ~right).sum())
    )
