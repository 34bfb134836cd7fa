"""What a sweep over learning rates found, as a small table."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from kopal.fit.lr_finder import Sweep

MEANINGS = {
    "steepest": "the loss falls fastest",
    "valley": "the middle of the way down",
    "suggested": "nine tenths of the way down: what --lr auto takes",
    "lowest": "the loss is least",
    "diverging": "from here on it is lost",
}


def lr_lines(sweep: Sweep) -> Iterator[str]:
    """One line for each point of the curve, in the order of the rates; none of a curve that never falls."""
    if not sweep.learns:
        return
    points = {name: getattr(sweep, name) for name in MEANINGS}
    yield f"  {'':9}    rate"
    for name, rate in sorted(points.items(), key=lambda point: float(point[1])):
        if isfinite(rate):
            yield f"  {name:9}  {rate:6.2g}  {MEANINGS[name]}"
