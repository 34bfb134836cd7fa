"""Photos that show little, each by itself or beside the others: empty, blurred, tiny, of an odd shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kopal.audit.finding import REVIEW, Finding, Kind
from kopal.looks import Looks

EMPTY = 4.0
"""Deviation of every colour of a thumbnail, of 255, below which next to nothing is on a photo."""
DARK, BRIGHT = 24.0, 231.0
"""Mean grey of a photo that is black, or white, where nothing is on it."""

SPREADS = 4.0
"""Robust standard deviations of log sharpness below the median from which a photo is blurred."""
LEAST_SPREAD = 0.2
MANY = 10
"""Photos that it takes to say what is usual."""

TINY_SIDE, TINY_SHARE = 64, 0.25
"""A tiny photo's shorter side: below so many pixels, and below this share of the median."""
LONG, LONGER = 3.0, 2.0
"""An odd shape: so many times as long as wide, and so many times the median of that."""


def quality_findings(names: Sequence[str], looks: Looks) -> Iterator[Finding]:
    """Names and looks (N) of photos → what is odd about single photos; a photo is named once for what is on it."""
    spread = looks["spread"]
    empty = spread < EMPTY
    yield from _empty(names, looks["thumbnail"].mean(axis=(1, 2)), spread, empty)
    yield from _blurred(names, looks, empty)
    yield from _sizes(names, looks)


def _empty(
    names: Sequence[str], mean: NDArray[np.floating], spread: NDArray[np.floating], empty: NDArray[np.bool_]
) -> Iterator[Finding]:
    for place in np.flatnonzero(empty).tolist():
        kind: Kind = "black" if mean[place] < DARK else "white" if mean[place] > BRIGHT else "near-empty"
        why = f"its colours deviate by {spread[place]:.1f} of 255 around {mean[place]:.0f}"
        yield Finding(kind, names[place], (), float(1 - spread[place] / EMPTY), why, REVIEW)


def _blurred(names: Sequence[str], looks: Looks, empty: NDArray[np.bool_]) -> Iterator[Finding]:
    known = np.flatnonzero(np.isfinite(looks["sharpness"]) & ~empty)
    if len(known) < MANY:
        return
    values = np.log(looks["sharpness"][known] + 1e-6)
    median = np.median(values)
    spread = max(LEAST_SPREAD, 1.4826 * float(np.median(np.abs(values - median))))
    below = (median - values) / spread
    for place, distance, value in zip(known.tolist(), below, values, strict=True):
        if distance > SPREADS:
            why = f"its sharpness is {np.exp(value - median):.1%} of the median, {distance:.1f} deviations below"
            yield Finding("blurred", names[place], (), float(distance), why, REVIEW)


def _sizes(names: Sequence[str], looks: Looks) -> Iterator[Finding]:
    if len(looks) < MANY:
        return
    width, height = looks["width"].astype(np.float64), looks["height"].astype(np.float64)
    short, long = np.minimum(width, height), np.maximum(width, height)
    usual = np.median(short)
    for place in np.flatnonzero((short < TINY_SIDE) & (short < TINY_SHARE * usual)).tolist():
        why = f"{width[place]:.0f} x {height[place]:.0f} pixels; the median of the shorter sides is {usual:.0f}"
        yield Finding("tiny", names[place], (), float(1 - short[place] / usual), why, REVIEW)
    shape = long / np.maximum(short, 1)
    for place in np.flatnonzero((shape > LONG) & (shape > LONGER * np.median(shape))).tolist():
        why = (
            f"{width[place]:.0f} x {height[place]:.0f} pixels: a net that sees the centre square is shown "
            f"{1 / shape[place]:.0%} of it"
        )
        yield Finding("odd-shaped", names[place], (), float(shape[place]), why, REVIEW)
