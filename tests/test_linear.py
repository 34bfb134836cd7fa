"""The linear classifier: the lecture's worked example, its per-sample loop as oracle, and scikit-learn's own checks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import estimator_checks_generator

from kopal.arrays import one_hot
from kopal.fit import linear
from kopal.fit.learner import Photographs
from kopal.fit.linear import LinearLearner, as_net_weights
from kopal.fit.normalise import measure
from kopal.fit.softmax_regression import SoftmaxRegression


def test_the_worked_example_of_the_lecture() -> None:
    x = np.array([[56, 231, 24, 2]], np.float64)
    w = np.array([[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0.0, 0.25, 0.2, -0.3]])
    b = np.array([1.1, 3.2, -1.2])
    np.testing.assert_allclose(linear.scores(x, w, b), [[-96.8, 437.9, 60.75]])  # type: ignore[arg-type]


def per_sample(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The lecture's loop: one photo after the other, one class after the other."""
    loss, dw, db = 0.0, np.zeros_like(w), np.zeros_like(b)
    for sample, label in zip(x, y, strict=True):
        s = [float(np.dot(row, sample) + bias) for row, bias in zip(w, b, strict=True)]
        largest = max(s)
        u = [math.exp(value - largest) for value in s]
        p = [value / sum(u) for value in u]
        loss -= math.log(p[label])
        for k in range(len(b)):
            residual = p[k] - (1.0 if k == label else 0.0)
            dw[k] += residual * sample
            db[k] += residual
    return loss / len(x), dw / len(x), db / len(x)


@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 2), (7, 5, 3), (64, 20, 10)])
def test_the_gradient_is_that_of_the_per_sample_loop(n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.integers(0, k, n)
    w, b = rng.normal(size=(k, d)), rng.normal(size=k)
    p = one_hot(y, k).astype(np.float64)
    s = linear.scores(x, w, b)
    loss, dw, db = per_sample(x, y, w, b)
    assert linear.loss(s, p) == pytest.approx(loss)
    found_w, found_b = linear.gradient(x, s, p)
    np.testing.assert_allclose(found_w, dw, atol=1e-12)
    np.testing.assert_allclose(found_b, db, atol=1e-12)


def test_the_comparison_can_fail() -> None:
    rng = np.random.default_rng(0)
    x, y, w, b = rng.normal(size=(5, 4)), rng.integers(0, 3, 5), rng.normal(size=(3, 4)), rng.normal(size=3)
    _, dw, _ = per_sample(x, y, w, b)
    wrong = -linear.gradient(x, linear.scores(x, w, b), one_hot(y, 3).astype(np.float64))[0]
    assert not np.allclose(wrong, dw)


def test_a_step_with_momentum_and_penalty_is_the_formula() -> None:
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(6, 4)).astype(np.float32), one_hot(rng.integers(0, 3, 6), 3)
    w, b = linear.start(rng, 3, 4, sigma=1.0)
    learner = LinearLearner(None, w.copy(), b.copy(), momentum=0.5, penalty=0.1)
    velocity_w, velocity_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(3):
        dw, db = linear.gradient(x, linear.scores(x, w, b), p)
        velocity_w, velocity_b = 0.5 * velocity_w + dw + 0.1 * w, 0.5 * velocity_b + db
        w, b = w - 0.2 * velocity_w, b - 0.2 * velocity_b
        learner.learn_rows(x, p, 0.2)
    np.testing.assert_allclose(learner.w, w, atol=1e-6)
    np.testing.assert_allclose(learner.b, b, atol=1e-6)


def test_weights_start_normal_with_the_lectures_sigma() -> None:
    w, b = linear.start(np.random.default_rng(0), 10, 3072)
    assert w.shape == (10, 3072)
    assert w.dtype == b.dtype == np.float32
    assert w.std() == pytest.approx(0.001, rel=0.02)
    assert abs(w.mean()) < 1e-5


def photographs(pixels: np.ndarray) -> Photographs:
    return Photographs(pixels, np.zeros(len(pixels), np.int64))


@pytest.mark.parametrize("way", ["pixel", "image", "channel"])
def test_the_normalisation_ends_up_inside_the_saved_graph(way: Any) -> None:
    from kopal.backends.onnx_backend import classifier_model
    from kopal.nets.linear import linear as linear_net
    from kopal.runtime import session

    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (9, 5, 4, 3), dtype=np.uint8)
    normalisation = measure(photographs(pixels), way)
    w, b = linear.start(rng, 3, 60, sigma=0.1)
    learner = LinearLearner(normalisation, w, b)
    net = linear_net(3, (5, 4, 3))
    graph = session(classifier_model(net, as_net_weights(w, b, normalisation, (5, 4, 3)), 1.0, 3).SerializeToString())
    np.testing.assert_allclose(graph.run(["scores"], {"pixels": pixels})[0], learner.scores(pixels), atol=1e-4)


def test_each_normalisation_takes_off_what_it_says() -> None:
    rng = np.random.default_rng(3)
    pixels = (rng.integers(0, 100, (50, 6, 6, 3)) + np.array([0, 50, 100])).astype(np.uint8)
    flat = pixels.reshape(50, -1, 3)
    by_pixel = measure(photographs(pixels), "pixel").flat(pixels).reshape(flat.shape)
    np.testing.assert_allclose(by_pixel.mean(axis=(0, 1)), 0, atol=1e-5)
    by_image = measure(photographs(pixels), "image").flat(pixels)
    np.testing.assert_allclose(by_image.mean(axis=0), 0, atol=1e-5)
    by_channel = measure(photographs(pixels), "channel").flat(pixels).reshape(flat.shape)
    np.testing.assert_allclose(by_channel.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(by_channel.std(axis=(0, 1)), 1, atol=1e-4)


def test_softmax_regression_learns_the_digits() -> None:
    digits = load_digits()
    model = SoftmaxRegression(random_state=0, epochs=40).fit(digits.data[:1200], digits.target[:1200])
    assert model.score(digits.data[1200:], digits.target[1200:]) > 0.9


CHECKS = list(estimator_checks_generator(SoftmaxRegression()))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS])
def test_scikit_learns_own_check(estimator: SoftmaxRegression, check: Any) -> None:
    check(estimator)
