"""The ladder as lines of text, one as soon as its rung is climbed."""

from __future__ import annotations

from collections.abc import Sequence

from kopal.rungs import STEPS, Rung

WIDTH = max(len(step.name) for step in STEPS)
HEAD = f"{'':{WIDTH}}  accuracy  95 % interval     gain  seconds   parameters"


def rung_line(rungs: Sequence[Rung]) -> str:
    """The last of the rungs so far: its accuracy, interval, gain over the best below it, seconds, parameters."""
    *below, rung = rungs
    head = "" if below else HEAD + "\n"
    if rung.left_out:
        return f"{head}{rung.name:{WIDTH}}  left out: {rung.left_out}"
    low, high = rung.interval
    best = max((other.accuracy for other in below), default=None)
    gain = "" if best is None else f"{rung.accuracy - best:+.3f}"
    return (
        f"{head}{rung.name:{WIDTH}}     {rung.accuracy:.3f}  {low:.3f} to {high:.3f}  {gain:>7}  "
        f"{rung.seconds:7.1f}  {rung.parameters:11,}"
    )
