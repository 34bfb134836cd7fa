"""Whether new photos look like those a model learned from, as far as its scores can tell.

A classifier's own outputs are what shifts show in best (arXiv:1810.11953): here four numbers of each photo's scores
that do not name a class, each compared by a Kolmogorov-Smirnov test at a quarter of the false-alarm rate (Bonferroni).
What the model file keeps are quantiles, not photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Scores, softmax
from kopal.errors import ModelFileError
from kopal.trust.binomial import kolmogorov

DRIFT = "drift"
"""The key of the reference in a card's thresholds."""
FALSE_ALARMS = 0.01
FAR = 0.1
"""A shift that moves fewer than a tenth of the photos is none: the saved head is a little surer than those that scored
out of fold, and enough photos would show it."""
FEWEST, POINTS = 10, 50

WORDS = {
    "confidence": "how sure the model is",
    "margin": "how far the best score is above the second",
    "energy": "how high the scores are",
    "spread": "how far the scores are apart",
}


@dataclass(frozen=True)
class Reference:
    """What photos like those learned from give: for each measure, values and the share of `photos` at most as high."""

    photos: int
    curves: Mapping[str, tuple[tuple[float, float], ...]]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as a model's card holds them; `Reference.from_json` is the way back."""
        curves = {name: [list(row) for row in curve] for name, curve in self.curves.items()}
        return {"photos": self.photos, "curves": curves}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Reference:
        """The reference from its JSON value. Raises `ModelFileError` where it is damaged."""
        try:
            return Reference._read(value)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ModelFileError(
                f"what the model knows of its training data is damaged: {error}",
                "a card as kopal writes it",
                "copy the file again, or train anew with kopal train",
            ) from error

    @staticmethod
    def _read(value: Mapping[str, Any]) -> Reference:
        curves = {}
        for name in WORDS:
            curve = np.array(value["curves"][name], np.float64)
            if curve.ndim != 2 or curve.shape[1] != 2 or not len(curve) or not np.isfinite(curve).all():
                raise ValueError(f"a curve of shape {curve.shape}")
            curves[name] = tuple((float(at), float(share)) for at, share in curve)
        if int(value["photos"]) < 1:
            raise ValueError("a reference of no photos")
        return Reference(int(value["photos"]), curves)


@dataclass(frozen=True)
class Drift:
    """The measure that differs most between `n` new photos and the reference: by how much, and its p after Bonferroni.

    `before` and `now` are its medians.
    """

    measure: str
    distance: float
    p: float
    before: float
    now: float
    n: int

    @property
    def alarm(self) -> bool:
        """Whether the photos look different."""
        return self.n >= FEWEST and self.p < FALSE_ALARMS and self.distance >= FAR

    def sentence(self) -> str:
        """What to tell the owner."""
        if self.n < FEWEST:
            return f"{self.n} photos are too few to tell whether they look like the training data ({FEWEST} are enough)"
        how = f"largest difference {self.distance:.2f}, p {f'= {self.p:.2g}' if self.p >= 1e-4 else '< 0.0001'}"
        if not self.alarm:
            return f"the new photos look like the training data ({how})"
        shares = self.measure == "confidence"
        before, now = (f"{value:.2f}" if shares else f"{value:.1f}" for value in (self.before, self.now))
        return (
            f"the new photos do not look like the training data: {WORDS[self.measure]} differs, "
            f"median {now} in place of {before} ({how}; false alarms at most 1 %)"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"alarm": self.alarm, "sentence": self.sentence()}


def measures(scores: Scores, temperature: float) -> dict[str, NDArray[np.float64]]:
    """Scores (N, K) before the temperature → (N,) for each measure, rounded so that float32's noise makes no order."""
    exact = scores.astype(np.float64) / temperature
    best = -np.sort(-exact, axis=1)[:, :2]
    lift = exact.max(axis=1)
    return {
        "confidence": np.round(softmax(exact).max(axis=1), 4),
        "margin": np.round(best[:, 0] - best[:, 1], 2),
        "energy": np.round(lift + np.log(np.exp(exact - lift[:, None]).sum(axis=1)), 2),
        "spread": np.round(exact.std(axis=1), 2),
    }


def reference(scores: Scores, temperature: float) -> Reference:
    """Scores (N, K), N > 0, of photos that the heads which gave them never learned from → what to compare with."""
    curves = {}
    for name, values in measures(scores, temperature).items():
        ordered = np.sort(values)
        at = np.unique(ordered[np.linspace(0, len(ordered) - 1, min(POINTS, len(ordered))).round().astype(int)])
        shares = np.searchsorted(ordered, at, side="right") / len(ordered)
        curves[name] = tuple((float(value), round(float(share), 5)) for value, share in zip(at, shares, strict=True))
    return Reference(len(scores), curves)


def compare(known: Reference, scores: Scores, temperature: float) -> Drift:
    """The reference and scores (N, K), N > 0, of new photos → how much they differ.

    The distance is taken at the reference's quantiles only: never more than the true one, so the test keeps its rate.
    """
    found = []
    for name, values in measures(scores, temperature).items():
        at, shares = np.array(known.curves[name]).T
        ordered = np.sort(values)
        gaps = np.abs(np.searchsorted(ordered, at, side="right") / len(ordered) - shares)
        distance = float(gaps.max())
        p = min(1.0, len(WORDS) * kolmogorov(distance, known.photos, len(values)))
        before = float(at[min(np.searchsorted(shares, 0.5), len(at) - 1)])
        found.append(Drift(name, distance, p, before, float(np.median(ordered)), len(values)))
    return max(found, key=lambda drift: drift.distance)
