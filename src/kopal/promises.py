"""Trust on the straight line: which photos it is fitted on, what the file keeps of it, what the report says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Scores
from kopal.datasets import Labelled
from kopal.evaluate import Report
from kopal.recipes import Recipe
from kopal.trust.drift import DRIFT, reference
from kopal.trust.promise import Promise, make_promise
from kopal.trust.promise_check import check_coverage, check_floor, check_on_halves
from kopal.trust.reliability import probabilities_of


def calibration_part(photos: Labelled) -> NDArray[np.bool_]:
    """The photos (N,) that temperature and thresholds come from: the calibration part, else train, out of fold."""
    part = photos.where("calibration")
    return part if part.any() else photos.where("train")


def promised(scores: Scores, temperature: float, photos: Labelled, recipe: Recipe) -> Promise:
    """Scores (N, K) of all photos → what the model can promise of the recipe's coverage and errors."""
    part = calibration_part(photos)
    out_of_fold = not photos.where("calibration").any()
    probabilities, labels = probabilities_of(scores[part], temperature), photos.labels[part]
    return make_promise(probabilities, labels, recipe.coverage, recipe.sets, recipe.max_error, out_of_fold)


def kept(promise: Promise, scores: Scores, temperature: float, photos: Labelled) -> dict[str, Any]:
    """A card's thresholds: the promise, and what scores of photos that were not learned from look like."""
    usual = scores[calibration_part(photos)]
    return promise.as_thresholds() | ({DRIFT: reference(usual, temperature).as_json()} if len(usual) else {})


def checked(
    report: Report, promise: Promise, scores: Scores, temperature: float, photos: Labelled, recipe: Recipe
) -> Report:
    """The report with what became of the promise on the test part, or where there is none on halves out of fold, which
    no group stands on both sides of.

    Answers withheld to keep errors rare have no such halves: their bound is from the photos that chose them.
    """
    test = photos.where("test")
    part = test if test.any() else calibration_part(photos)
    probabilities, labels = probabilities_of(scores[part], temperature), photos.labels[part]
    covered = (
        check_coverage(promise, probabilities, labels)
        if test.any()
        else check_on_halves(promise, probabilities, labels, recipe.seed, photos.groups[part])
    )
    fresh = slice(None) if test.any() else slice(0)
    calibrated_on = int(calibration_part(photos).sum())
    floor = check_floor(promise, recipe.max_error, calibrated_on, probabilities[fresh], labels[fresh])
    return replace(report, coverage=covered, max_error=floor)
