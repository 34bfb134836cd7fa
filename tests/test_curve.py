"""What is read off a loss curve: each verdict on a made-up training, and on real ones at rates that earn it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kopal.fit import linear
from kopal.fit.curve import read_curve
from kopal.fit.learner import Photographs
from kopal.fit.loop import Epoch, Lesson, epochs
from kopal.stopping import MaxSteps

NAN = float("nan")


def history(train: Sequence[float], validation: Sequence[float], accuracy: float = 0.5) -> list[Epoch]:
    rows = []
    for number, (mine, held) in enumerate(zip(train, validation, strict=True), start=1):
        rows.append(Epoch(number, mine, held, accuracy, 0.1, 100.0, 1.0, held <= min(validation[:number])))
    return rows


@pytest.mark.parametrize(
    ("verdict", "train", "validation"),
    [
        ("flat", [2.30, 2.29, 2.29, 2.28], [2.30, 2.29, 2.29, 2.28]),
        ("flat", [2.3, 2.5, 2.4, 2.6], [2.3, 2.4, 2.4, 2.4]),
        ("good rate", [1.5, 0.6, 0.4, 0.36, 0.361, 0.359, 0.36, 0.361], [1.2, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ("good rate", [1.5, 0.6, 0.4, 0.35, 0.345, 0.344], [1.2, 0.6, 0.5, 0.49, 0.48, 0.481]),
        ("the learning rate is high", [2.0, 1.0, 1.4, 0.9, 1.3, 0.8], [1.5, 1.2, 1.3, 1.1, 1.2, 1.0]),
        ("it diverged", [1.5, 0.9, NAN], [1.4, 0.9, NAN]),
        ("it diverged", [NAN], [NAN]),
        ("after epoch 2 it learned by heart", [1.5, 0.6, 0.3, 0.1, 0.05], [1.2, 0.6, 0.65, 0.7, 0.8]),
        ("still falling", [2.0, 1.6, 1.2, 0.9], [1.9, 1.5, 1.1, 0.8]),
    ],
)
def test_each_shape_has_its_verdict(verdict: str, train: list[float], validation: list[float]) -> None:
    assert verdict in read_curve(history(train, validation), 10)


def test_who_only_guesses_has_learned_nothing() -> None:
    thrown = history([1e9, 55.0, 9.0, 2.4], [79.0, 46.0, 2.4, 2.31], accuracy=0.11)
    assert "far too high" in read_curve(thrown, 10)
    flat = history([2.6, 2.4, 2.32, 2.31], [2.5, 2.4, 2.33, 2.32], accuracy=0.11)
    assert "flat" in read_curve(flat, 10)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_epochs_say_nothing(count: int) -> None:
    assert read_curve(history([2.0, 1.0][:count], [2.0, 1.0][:count]), 10) == ""


def test_a_rise_of_validation_loss_within_its_noise_is_not_learning_by_heart() -> None:
    assert "by heart" not in read_curve(history([1.5, 0.6, 0.4, 0.39], [1.2, 0.6, 0.5, 0.52]), 10)


def trained(rate: float, photos: int, count: int) -> str:
    """The verdict on a linear classifier of 8 x 8 photos of noise, dark where the class is; a fifth is mislabelled."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, photos + 200)
    pixels = rng.integers(0, 200, (len(labels), 8, 8, 1)).astype(np.uint8)
    for label in range(3):
        pixels[labels == label, 2 * label : 2 * label + 2] = np.minimum(
            pixels[labels == label, 2 * label : 2 * label + 2], 120
        )
    labels = np.where(rng.random(len(labels)) < 0.2, rng.integers(0, 3, len(labels)), labels)
    learner = linear.LinearLearner(None, *linear.start(rng, 3, 64))
    train, validation = (Photographs(pixels[part], labels[part]) for part in (slice(photos), slice(photos, None)))
    lesson = Lesson(16, lambda done, losses: rate, MaxSteps(count))
    with np.errstate(all="ignore"):
        return read_curve(list(epochs(learner, train, validation, lesson)), 3)


@pytest.mark.parametrize(
    ("verdict", "rate", "photos", "count"),
    [
        ("flat", 1e-9, 320, 4),
        ("still falling", 1e-7, 320, 4),
        ("good rate", 1e-6, 320, 30),
        ("the learning rate is high", 1e-2, 320, 12),
        ("by heart", 1e-5, 32, 100),
    ],
)
def test_real_trainings_earn_their_verdicts(verdict: str, rate: float, photos: int, count: int) -> None:
    assert verdict in trained(rate, photos, count)
