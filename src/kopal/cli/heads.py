"""Heads on the screen: the table of all, which settings won, and what of the photos is in the file."""

from __future__ import annotations

from collections.abc import Iterator

from kopal.fit.fitted import Fitted


def head_lines(fitted: Fitted) -> Iterator[str]:
    """What is to be said of a fitted head; nothing of a softmax regression that was not compared."""
    if fitted.heads:
        yield "every head on the same features, the best by out-of-fold log loss first:"
        yield f"  {'head':12} accuracy  95 % interval   log loss  seconds   file"
        for row in fitted.heads:
            low, high = row.interval
            mark = "  ← won" if row is fitted.heads[0] else ""
            yield (
                f"  {row.head:12} {row.accuracy:8.3f}  {low:.3f} to {high:.3f} {row.log_loss:9.3f} "
                f"{row.seconds:8.1f} {row.bytes / 1e6:5.1f} MB{mark}"
            )
    for kind in fitted.left_out:
        yield f"left out: {kind}"
    if fitted.option:
        yield f"head {fitted.head}: {fitted.option} did best out of fold"
    if fitted.holds:
        yield f"note: the file holds {fitted.holds}"
