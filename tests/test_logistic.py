"""Softmax regression reaches the same optimum as scikit-learn's, whatever the shape of the features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kopal.arrays import cross_entropy, log_softmax, softmax
from kopal.fit.lbfgs import minimise
from kopal.fit.logistic import Affine, fit_path, principal_axes

TOLERANCE = 1e-6


def problem(n: int, d: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy classes on features of very different scales and correlations, none separable by luck of scale."""
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    centres = rng.normal(size=(classes, d))
    features = centres[labels] + 2 * rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)) / d**0.5)
    return (features * rng.uniform(0.5, 4, d) + rng.uniform(-3, 3, d)).astype(np.float32), labels


def standardised(features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share = weights.astype(np.float64) / weights.sum()
    mean = share @ features.astype(np.float64)
    deviation = np.sqrt(share @ np.square(features - mean))
    deviation[deviation < 1e-6] = 1
    return (features - mean) / deviation, mean, deviation


def loss(head: Affine, features: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: float) -> float:
    z, mean, deviation = standardised(features, weights)
    weight = head.weight.astype(np.float64) * deviation
    bias = head.bias + head.weight.astype(np.float64) @ mean
    return total(weight, bias, z, labels, weights, penalty)


def total(
    weight: np.ndarray, bias: np.ndarray, z: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: float
) -> float:
    losses = cross_entropy(log_softmax(z @ weight.T + bias), labels)
    return float(weights @ losses / weights.sum() + penalty / 2 * np.square(weight).sum())


def theirs(
    z: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's optimum of the same sum, as (K, D) and (K,)."""
    # With two classes it fits one row w, which is our two rows w/2 and -w/2 at half the penalty.
    strength = 1 / (penalty * weights.sum()) * (2 if classes == 2 else 1)
    fitted = LogisticRegression(C=strength, tol=1e-8, max_iter=20_000).fit(z, labels, sample_weight=weights)
    if classes == 2:
        return np.vstack([-fitted.coef_, fitted.coef_]) / 2, np.append(-fitted.intercept_, fitted.intercept_) / 2
    return fitted.coef_, fitted.intercept_


@pytest.mark.parametrize("penalty", [1.0, 0.003])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize(
    ("n", "d", "classes"), [(150, 12, 2), (200, 20, 5), (40, 90, 2), (60, 100, 5), (80, 1, 2), (90, 1, 5)]
)
def test_the_optimum_is_scikit_learns(n: int, d: int, classes: int, weighted: bool, penalty: float) -> None:
    features, labels = problem(n, d, classes)
    rng = np.random.default_rng(1)
    weights = (rng.uniform(0.2, 3, n) if weighted else np.ones(n)).astype(np.float32)
    head = fit_path(features, labels, weights, classes, [1.0, penalty], TOLERANCE)[-1]
    z, _, deviation = standardised(features, weights)
    weight, bias = theirs(z, labels, classes, weights, penalty)
    best = total(weight, bias, z, labels, weights, penalty)
    assert loss(head, features, labels, weights, penalty) == pytest.approx(best, rel=1e-4)
    assert np.abs(softmax(head.scores(features)) - softmax(z @ weight.T + bias)).max() < 5e-3
    ours = head.weight * deviation
    assert np.abs(ours - ours.mean(axis=0) - (weight - weight.mean(axis=0))).max() < 0.02 * max(1, np.abs(weight).max())


def test_each_step_of_a_path_is_the_optimum_of_its_penalty() -> None:
    features, labels = problem(120, 8, 3)
    weights = np.ones(120, np.float32)
    penalties = [1.0, 0.1, 0.01, 0.001]
    path = fit_path(features, labels, weights, 3, penalties, TOLERANCE)
    for head, penalty in zip(path, penalties, strict=True):
        alone = fit_path(features, labels, weights, 3, [penalty], TOLERANCE)[0]
        assert loss(head, features, labels, weights, penalty) == pytest.approx(
            loss(alone, features, labels, weights, penalty), rel=1e-5
        )


def test_photos_of_weight_zero_do_not_count() -> None:
    features, labels = problem(100, 6, 3)
    weights = np.ones(100, np.float32)
    weights[60:] = 0
    whole = fit_path(features, labels, weights, 3, [0.1], TOLERANCE)[0]
    part = fit_path(features[:60], labels[:60], weights[:60], 3, [0.1], TOLERANCE)[0]
    assert np.allclose(whole.scores(features), part.scores(features), atol=5e-3)


def test_axes_of_other_photos_change_nothing_but_the_way() -> None:
    features, labels = problem(1300, 6, 3)
    weights = np.ones(1300, np.float32)
    weights[:500] = 0
    own = fit_path(features, labels, weights, 3, [1.0, 0.01], TOLERANCE)[-1]
    shared = fit_path(features, labels, weights, 3, [1.0, 0.01], TOLERANCE, principal_axes(features))[-1]
    assert np.allclose(own.scores(features), shared.scores(features), atol=5e-3)


@pytest.mark.parametrize(("n", "d"), [(60, 200), (300, 20)])
def test_a_photo_of_weight_zero_has_no_say_in_mean_and_spread_either(n: int, d: int) -> None:
    features, labels = problem(n, d, 3)
    weights = np.ones(n, np.float32)
    weights[: n // 3] = 0
    found = fit_path(features, labels, weights, 3, [0.01], TOLERANCE)[0]
    other = features.copy()
    other[: n // 3] *= 1000
    again = fit_path(other, labels, weights, 3, [0.01], TOLERANCE)[0]
    assert np.array_equal(found.weight, again.weight)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1234.567, -3e6])
def test_features_that_never_vary_change_nothing(constant: float) -> None:
    features, labels = problem(120, 5, 3)
    weights = np.ones(120, np.float32)
    plain = fit_path(features, labels, weights, 3, [0.01], TOLERANCE)[0]
    padded = np.hstack([features, np.full((120, 3), constant, np.float32)])
    head = fit_path(padded, labels, weights, 3, [0.01], TOLERANCE)[0]
    assert np.isfinite(head.weight).all()
    assert np.allclose(softmax(head.scores(padded)), softmax(plain.scores(features)), atol=5e-3)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1234.567, -3e6])
@pytest.mark.parametrize("d", [1, 4])
def test_where_nothing_varies_the_answer_is_the_share_of_each_class(constant: float, d: int) -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    features = np.full((100, d), constant, np.float32)
    head = fit_path(features, labels, np.ones(100, np.float32), 3, [0.01], TOLERANCE)[0]
    assert np.allclose(softmax(head.scores(features))[0], [0.6, 0.3, 0.1], atol=1e-3)


def test_a_class_without_photos_gets_a_score_and_no_photos() -> None:
    features, labels = problem(80, 4, 2)
    head = fit_path(features, labels, np.ones(80, np.float32), 3, [0.1], TOLERANCE)[0]
    assert head.weight.shape == (3, 4)
    assert softmax(head.scores(features))[:, 2].max() < 0.05


def test_the_given_arrays_are_left_as_they_were() -> None:
    features, labels = problem(50, 4, 2)
    weights = np.ones(50, np.float32)
    copies = features.copy(), labels.copy(), weights.copy()
    for array in (features, labels, weights):
        array.flags.writeable = False
    fit_path(features, labels, weights, 2, [0.1], 1e-3)
    assert all(np.array_equal(*pair) for pair in zip(copies, (features, labels, weights), strict=True))


def test_the_same_problem_gives_the_same_bits() -> None:
    features, labels = problem(100, 10, 4)
    one, two = (fit_path(features, labels, np.ones(100, np.float32), 4, [0.1], 1e-4)[0] for _ in range(2))
    assert np.array_equal(one.weight, two.weight)
    assert np.array_equal(one.bias, two.bias)


@pytest.mark.parametrize("d", [1, 2, 30])
@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_lbfgs_finds_the_bottom_of_a_bowl(d: int, condition: float) -> None:
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    bowl = turn @ np.diag(np.geomspace(1, condition, d)) @ turn.T
    bottom = rng.normal(size=d)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        away = x - bottom
        return float(away @ bowl @ away) / 2, bowl @ away

    found = minimise(objective, np.zeros(d), 1e-8, steps=2000)
    assert np.allclose(found, bottom, atol=1e-6)
    assert np.array_equal(minimise(objective, bottom, 1e-8), bottom)


def test_lbfgs_stops_where_it_is_told_and_survives_what_is_not_a_number() -> None:
    calls = 0

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        return float(x @ x), 2 * x

    minimise(objective, np.full(3, 100.0), 1e-12, steps=1)
    assert calls <= 4
    assert minimise(lambda x: (0.0, x), np.empty(0), 1e-3).size == 0

    def cliff(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (float(x[0] ** 2), 2 * x) if x[0] >= 1 else (float("nan"), np.array([np.nan]))

    assert minimise(cliff, np.array([3.0]), 1e-6)[0] >= 1
