"""Classes that have far fewer photos than the largest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kopal.audit.finding import KEEP, Finding
from kopal.datasets import Labelled

FEWER = 10
"""How many times fewer is far fewer."""


def balance_findings(photos: Labelled) -> Iterator[Finding]:
    """A finding for each class of the train part with far fewer photos than the largest."""
    counts = np.bincount(photos.labels[photos.where("train")], minlength=len(photos.classes))
    if not len(counts):
        return
    largest = int(counts.argmax())
    for label in np.flatnonzero(counts * FEWER <= counts.max()):
        why = (
            f"{photos.classes[label]} has {counts[label]} photos, {photos.classes[largest]} {counts[largest]}: add "
            "photos of it, or let every class weigh the same with --balance"
        )
        yield Finding("imbalance", "", (), float(counts.max() / max(1, counts[label])), why, KEEP)
