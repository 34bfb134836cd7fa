"""What answers out of fold give away: labels that are likely wrong, and photos that are like no others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kopal.arrays import Features, Scores
from kopal.audit.finding import REVIEW, Finding
from kopal.audit.suspects import nearest_others, outliers, wrong_labels
from kopal.datasets import Labelled
from kopal.trust.reliability import probabilities_of


def suspicious_findings(
    photos: Labelled, scores: Scores, temperature: float, features: Features | None = None
) -> Iterator[Finding]:
    """Scores (N, K) that never saw the photo they are of, and features (N, D) if there are any → what to look at.

    Rows that are not finite are of photos that were learned from, and are passed over. Of labels only those are told
    that confident learning counts as wrong.
    """
    judged = np.flatnonzero(np.isfinite(scores).all(axis=1))
    if not len(judged):
        return
    own = None if features is None else features[judged]
    groups = photos.groups[judged].tolist()
    probabilities = probabilities_of(scores[judged], temperature)
    others = None if own is None else nearest_others(own, groups)
    for row in wrong_labels(probabilities, photos.labels[judged], photos.classes, own, groups, others):
        if row.confident:
            yield Finding("label", photos.names[judged[row.place]], (), row.margin, row.why, REVIEW)
    if own is not None:
        for far in outliers(own, groups, others):
            yield Finding("outlier", photos.names[judged[far.place]], (), far.times, far.why, REVIEW)
