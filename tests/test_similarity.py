"""Familiar photos are told from unfamiliar ones, and LogME is the evidence that an outside optimiser finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from conftest import draw
from kopal import images
from kopal.datasets.named import digits
from kopal.fit.backbones import embedded_backbone
from kopal.similarity import FAMILIAR, log_evidence, prominence

NET = "efficientnet-lite0"


def made(count: int, width: int, signal: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features and labels of three classes; `signal` moves their centres apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = signal * rng.normal(size=(3, width))
    return (rng.normal(size=(count, width)) + centres[labels]).astype(np.float32), labels


def greatest_evidence(features: NDArray[np.float32], target: NDArray[np.float64]) -> float:
    """The largest log density of a target under N(0, I / β + F Fᵀ / α), found from several starts."""
    exact = features.astype(np.float64)
    square = exact @ exact.T

    def loss(logs: NDArray[np.float64]) -> float:
        covariance = np.eye(len(target)) * np.exp(-logs[1]) + square * np.exp(-logs[0])
        return -float(multivariate_normal(np.zeros(len(target)), covariance, allow_singular=True).logpdf(target))

    starts = [np.array([alpha, beta]) for alpha in (0.0, 3.0, 6.0) for beta in (0.0, 2.0)]
    return -min(minimize(loss, start, method="Nelder-Mead", options={"maxiter": 300}).fun for start in starts)


@pytest.mark.parametrize(("count", "width", "signal"), [(30, 5, 1.0), (24, 40, 0.3), (40, 8, 0.0)])
def test_log_evidence_is_the_greatest_density_of_the_labels(count: int, width: int, signal: float) -> None:
    features, labels = made(count, width, signal, seed=count)
    by_hand = np.mean([greatest_evidence(features, (labels == k).astype(np.float64)) for k in range(3)]) / count
    assert log_evidence(features, labels, 3) == pytest.approx(by_hand, abs=2e-3)


def test_log_evidence_ranks_features_by_what_they_say_of_the_labels() -> None:
    values = []
    for signal in (0.0, 0.5, 2.0):
        features, labels = made(90, 10, signal, seed=1)
        values.append(log_evidence(features, labels, 3))
    assert values == sorted(values)
    features, labels = made(90, 10, 2.0, seed=1)
    assert log_evidence(features, np.random.default_rng(0).permutation(labels), 3) < values[-1] - 0.1


def test_log_evidence_bears_features_that_do_not_vary_or_are_equal() -> None:
    features, labels = made(30, 4, 1.0, seed=2)
    doubled = np.hstack([features, features, np.zeros((30, 3), np.float32)])
    assert np.isfinite(log_evidence(doubled, labels, 3))
    assert np.isfinite(log_evidence(np.ones((30, 4), np.float32), labels, 3))


def test_prominence_counts_deviations_and_is_about_3_by_chance() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 64)).astype(np.float32)
    weight, bias = rng.normal(size=(1000, 64)).astype(np.float32), np.zeros(1000, np.float32)
    found = prominence(features, weight, bias)
    scores = features @ weight.T
    assert found == pytest.approx((scores.max(axis=1) - scores.mean(axis=1)) / scores.std(axis=1), rel=1e-4)
    assert found.mean() == pytest.approx(3.24, abs=0.15)
    assert np.allclose(found, prominence(7 * features, weight, bias), rtol=1e-4)
    assert prominence(features[:1], np.zeros_like(weight), bias).tolist() == [0.0]


def test_what_is_no_photograph_is_unfamiliar_to_the_embedded_backbone() -> None:
    backbone = embedded_backbone(NET)
    assert backbone.head is not None
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(6)]
    written = digits()
    sets = {
        "noise": noise,
        "drawn": [draw(kind, 3) for kind in range(6)],
        "digits": [images.decode(written.read(index), backbone.geometry) for index in range(6)],
    }
    for name, photos in sets.items():
        pixels = np.stack([images.fit(photo, backbone.geometry) for photo in photos])
        found = prominence(backbone.features(pixels), *backbone.head).mean()
        assert found < FAMILIAR - 0.5, name


def test_features_that_point_where_a_class_does_are_familiar() -> None:
    head = embedded_backbone(NET).head
    assert head is not None
    assert prominence(np.maximum(head[0][:20], 0), *head).mean() > FAMILIAR


def test_of_nets_side_by_side_the_first_is_asked() -> None:
    one, two = embedded_backbone(NET), embedded_backbone(f"{NET}+efficientnet-lite2")
    assert one.head is not None
    assert two.head is not None
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, two.dimension)).astype(np.float32)
    found = prominence(features[:, : one.dimension], *one.head)
    assert prominence(features, *two.head) == pytest.approx(found, rel=1e-5)
