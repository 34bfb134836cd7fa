"""The tables of a run: a row for every answer that was measured, and one for every photo that was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kopal.arrays import Labels, Probabilities
from kopal.datasets import Labelled


@dataclass(frozen=True)
class Answers:
    """What the report was measured on: a photo's path, its class, and probabilities (N, K) that never saw it.

    `said` is what would have been answered, in words: a name, several, unsure, or unknown.
    """

    names: tuple[str, ...]
    labels: Labels
    probabilities: Probabilities
    said: tuple[str, ...]


def prediction_rows(answers: Answers, classes: Sequence[str]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(path, truth, predicted, probability, of_truth, answer) per photo, as predictions.csv has them.

    `probability` is that of the predicted class, `of_truth` that of the true one.
    """
    best = answers.probabilities.argmax(axis=1)
    rows = np.arange(len(best))
    sure, true = (answers.probabilities[rows, places] for places in (best, answers.labels))
    for name, label, place, *shares, said in zip(
        answers.names, answers.labels, best, sure, true, answers.said, strict=True
    ):
        probability, of_truth = (f"{share:.6f}" for share in shares)
        yield name, classes[label], classes[place], probability, of_truth, said


def photo_rows(photos: Labelled) -> Iterator[tuple[str, str, str, str]]:
    """(path, class, part, sha256) per photo, as photos.csv has them."""
    for name, label, part, digest in zip(photos.names, photos.labels, photos.parts, photos.digests, strict=True):
        yield name, photos.classes[label], str(part), digest.hex()
