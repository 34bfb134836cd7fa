"""The power law that is fitted is the best there is, its band holds what came later, and draws are fair."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from kopal.errors import DataError
from kopal.fit.logistic import fit_path
from kopal.fit.probe import make_folds
from kopal.learning_curve import DRAWS, curve, drawn, fit_laws, measure, shares
from kopal.metrics import wilson
from kopal.recipes import Recipe
from kopal.report.learning_curve_plot import learning_curve_picture

SIZES = np.array([100.0, 200.0, 500.0, 1000.0])


def blobs(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    centres = np.random.default_rng(99).normal(size=(4, 30)) * 0.35
    return (rng.normal(size=(count, 30)) + centres[labels]).astype(np.float32), labels


def hits_of_law(floor: float, scale: float, exponent: float, count: int, seed: int) -> dict[int, NDArray[np.bool_]]:
    """Photos that are right or wrong as a law says, each with a difficulty of its own."""
    difficulty = np.random.default_rng(seed).uniform(size=count)
    return {int(n): (difficulty > floor + scale * n**-exponent)[None] for n in SIZES}


@pytest.mark.parametrize("law", [(0.05, 2.0, 0.5), (0.0, 1.2, 0.3), (0.1, 3.0, 0.75)])
def test_an_exact_power_law_is_found_again(law: tuple[float, float, float]) -> None:
    errors = law[0] + law[1] * SIZES ** -law[2]
    found = fit_laws(SIZES, errors[None], np.full(4, 1e-4))[0]
    assert found == pytest.approx(law, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_as_good_as_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = 0.08 + 1.5 * SIZES**-0.45 + 0.004 * rng.normal(size=4)
    variances = rng.uniform(1e-5, 1e-4, 4)
    floor, scale, exponent = fit_laws(SIZES, errors[None], variances)[0]
    ours = ((errors - floor - scale * SIZES**-exponent) ** 2 / variances).sum()

    def law(n: NDArray[np.float64], a: float, b: float, c: float) -> NDArray[np.float64]:
        return a + b * n**-c

    best, _ = curve_fit(
        law, SIZES, errors, (0.05, 1.0, 0.5), np.sqrt(variances), bounds=([0, 0, 0.05], [1, 99, 1]), maxfev=20_000
    )
    theirs = ((errors - law(SIZES, *best)) ** 2 / variances).sum()
    assert ours <= theirs + 0.02 * max(1.0, theirs)


def test_no_law_is_negative_nor_rises() -> None:
    rng = np.random.default_rng(0)
    laws = fit_laws(SIZES, rng.uniform(0, 0.3, (200, 4)), np.full(4, 1e-4))
    assert (laws >= 0).all()
    assert ((laws[:, 2] >= 0.05) & (laws[:, 2] <= 1)).all()


def test_the_band_holds_what_more_photos_bring_about_as_often_as_it_promises() -> None:
    floor, scale, exponent = 0.06, 1.6, 0.45
    truth = 1 - floor - scale * 2000**-exponent
    held = 0
    for seed in range(40):
        low, high = curve(hits_of_law(floor, scale, exponent, 1000, seed), seed).band(2000)
        held += low <= truth <= high
    assert held >= 35


def test_a_curve_without_errors_is_not_certain_to_stay_there() -> None:
    found = curve({n: np.ones((2, 60), np.bool_) for n in (5, 20, 48)})
    low, high = found.band(240)
    assert low < 0.99
    assert high == pytest.approx(1.0, abs=1e-9)


def test_the_curve_is_measured_out_of_fold_rises_and_is_the_same_for_the_same_seed() -> None:
    features, labels = blobs(400)
    recipe = Recipe()
    fold = make_folds(labels, range(400), recipe)
    right = np.zeros(400, np.bool_)
    for held in range(5):
        out = fold == held
        weights = np.ones(int((~out).sum()), np.float32)
        head = fit_path(features[~out], labels[~out], weights, 4, (0.1,), 1e-3)[0]
        right[out] = head.scores(features[out]).argmax(axis=1) == labels[out]
    seen: list[tuple[int, int]] = []
    found = measure(features, labels, 4, fold, 0.1, right, step=lambda done, of: seen.append((done, of)))
    assert [point.photos for point in found.points] == [32, 64, 160, 320]
    assert [len(point.draws) for point in found.points] == [*DRAWS.values(), 1]
    accuracies = [point.accuracy for point in found.points]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == right.mean()
    assert found.points[-1].interval == wilson(int(right.sum()), 400)
    assert seen[-1] == (75, 75)
    again = measure(features, labels, 4, fold, 0.1, right)
    assert again.as_json() == found.as_json()
    # Twice the photos are expected to do what twice the photos of the same kind do.
    more, theirs = blobs(2000, seed=5)
    head = fit_path(*blobs(800, seed=7), np.ones(800, np.float32), 4, (0.1,), 1e-3)[0]
    measured = (head.scores(more).argmax(axis=1) == theirs).mean()
    low, high = found.band(800)
    assert low - 0.02 <= measured <= high + 0.02


def test_labels_without_meaning_gain_nothing_from_more_photos() -> None:
    features, _ = blobs(200)
    labels = np.random.default_rng(3).integers(0, 4, 200)
    fold = make_folds(labels, range(200), Recipe())
    right = np.random.default_rng(4).uniform(size=200) < 0.25
    found = measure(features, labels, 4, fold, 1.0, right)
    assert found.gain(2).low < 0.01
    assert found.law.accuracy(1000) < 0.5


def test_a_draw_keeps_every_class_its_share_and_smaller_draws_lie_within_larger_ones() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 4])
    allowed = np.arange(154) % 5 != 0
    small, large = (drawn(labels, allowed, share, seed=1) for share in (0.1, 0.5))
    assert set(small) <= set(large)
    assert allowed[large].all()
    assert np.bincount(labels[large]).tolist() == [40, 20, 2]
    assert np.bincount(labels[small]).tolist() == [8, 4, 1]
    assert not np.array_equal(large, drawn(labels, allowed, 0.5, seed=2))


def test_too_few_photos_are_an_error_that_says_how_many_it_takes() -> None:
    assert shares(1000, 10, 5) == (0.1, 0.2, 0.5)
    assert shares(60, 3, 5) == (0.2, 0.5)
    with pytest.raises(DataError, match="24 photos are too few") as caught:
        shares(24, 3, 5)
    assert caught.value.expected == "38 or more of 3 classes"
    assert shares(38, 3, 5) == (0.2, 0.5)


def test_the_picture_is_the_same_bytes_every_time() -> None:
    found = curve(hits_of_law(0.06, 1.6, 0.45, 500, 0))
    picture = learning_curve_picture(found, "lite0 on $photos", "svg")
    assert picture == learning_curve_picture(found, "lite0 on $photos", "svg")
    text = picture.decode()
    for words in ("photos learned from", "accuracy", "2x: ", "4x: ", "n^-"):
        assert words in text
