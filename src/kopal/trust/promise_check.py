"""Whether promises are kept: what was promised of sets and errors, and what came of it on other photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Labels, Probabilities
from kopal.trust.conformal import Method, Sets, coverage_band, fewest, fit_sets, sizes
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
    promise: Promise,
    probabilities: Probabilities,
    labels: Labels,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> CoverageCheck | None:
    """The same without a test part: thresholds from one half of the calibration photos, checked on the other.

    The model keeps the thresholds of all. Where half are too few for the promise, it takes as many as that needs.
    Photos of one of the `groups` (N,), a patient's or copies, stand on one side. They may all be covered or missed
    together, so the band counts as `effective` does; None where too few groups are left for the promise to be kept.
    """
    if not (promise.coverage and promise.sets is not None and len(labels) > 1):
        return None
    least = fewest(promise.coverage)
    own = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)[1]
    half = _half(own, least, seed)
    if half.all():
        return None
    fitted = fit_sets(
        probabilities[half], labels[half], promise.sets.method, promise.coverage, promise.sets.out_of_fold
    )
    free, judged = (_effective_in(fitted, own[side], labels[side]) for side in (half, ~half))
    # Too few groups for a promise that the photos would do for: half would pass for sound, or show less than it is.
    known = fitted.photos if len(fitted.photos) > 1 else promise.sets.photos
    for few, photos, enough in zip(free, fitted.photos, known, strict=True):
        if few < min(photos, least) and enough >= least:
            return None
    check = check_coverage(replace(promise, sets=fitted), probabilities[~half], labels[~half])
    band = coverage_band(replace(fitted, photos=free), promise.coverage, np.repeat(np.arange(len(judged)), judged))
    return replace(check, band=band, too_few=promise.sets.too_few(promise.coverage)) if check else None


def effective(sizes: NDArray[np.int64]) -> int:
    """The effective sample size of groups of these sizes (G,): how many independent photos tell as much, at the least.

    (sum of sizes)² / sum of squared sizes (Kish, Survey Sampling, 1965), rounded down, as if photos of a group were all
    alike: G groups of one size count G, and N photos of no group N.
    """
    return int(sizes.sum()) ** 2 // max(1, int((sizes**2).sum()))


def _half(groups: NDArray[np.int64], least: int, seed: int) -> NDArray[np.bool_]:
    """Groups 0..G-1 of photos (N,) → those to calibrate on (N,): whole groups in random order, until they are half of
    the photos and count for `least`, and at most all groups but one.
    """
    sizes = np.bincount(groups)
    place = np.random.default_rng(seed).permutation(len(sizes))
    dealt = sizes[np.argsort(place)]
    photos, squares = np.cumsum(dealt), np.cumsum(dealt**2)
    enough = (photos >= len(groups) // 2) & (photos**2 >= least * squares)
    count = int(np.argmax(enough)) + 1 if enough.any() else len(sizes)
    return np.asarray(place[groups] < max(1, min(count, len(sizes) - 1)))


def _effective_in(sets: Sets, groups: NDArray[np.int64], labels: Labels) -> tuple[int, ...]:
    """The effective number of photos with these groups (N,), for each threshold of the sets: of all, or by class."""
    by_class = [groups[labels == label] for label in range(len(sets.photos))] if len(sets.photos) > 1 else [groups]
    return tuple(effective(np.bincount(own)) for own in by_class)


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
