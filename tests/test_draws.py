"""Keyed random numbers: published answers, statistics that a bad generator fails, and the Beta distribution."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from kopal.errors import UsageError
from kopal.fit.draws import beta_quantile, philox, uniform, uniforms

Grid = Callable[[np.ndarray, int, int, str], np.ndarray]

IMAGES = np.arange(20_000)
STREAMS = ("flip", "down", "right")


# Random123's kat_vectors, philox4x32 10.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_the_cipher_gives_the_published_answers(counter: str, key: str, answer: str) -> None:
    words = np.array([int(word, 16) for word in counter.split()], np.uint64)
    low, high = (int(word, 16) for word in key.split())
    assert " ".join(f"{int(word):08x}" for word in philox(words, (low, high))) == answer
    # The same within an array of many.
    many = philox(np.repeat(words[:, None], 5, axis=1), (low, high))
    assert " ".join(f"{int(word):08x}" for word in many[:, 3]) == answer


def test_a_number_is_its_ciphers_first_53_bits() -> None:
    counter = np.array([7 & 0xFFFFFFFF, 3, 9, 5], np.uint64)
    words = [int(word) for word in philox(counter, (11, 1))]
    assert uniform(11 + (1 << 32), 9, [7 + (3 << 32)], 5)[0] == ((words[0] << 32 | words[1]) >> 11) / 2**53


def test_a_number_depends_on_its_names_alone() -> None:
    images = np.random.default_rng(0).permutation(1000)
    together = uniforms(3, 5, images, STREAMS)
    for row, stream in enumerate(STREAMS):
        np.testing.assert_array_equal(together[row], uniform(3, 5, images, stream))
    alone = [uniform(3, 5, [image], "down")[0] for image in images[:20]]
    np.testing.assert_array_equal(together[1, :20], alone)
    np.testing.assert_array_equal(uniform(3, 5, np.sort(images), "down"), together[1, np.argsort(images)])
    assert uniforms(0, 0, [], STREAMS).shape == (3, 0)


def test_another_process_draws_the_same() -> None:
    code = "from kopal.fit.draws import uniform; print(uniform(3, 5, range(4), 'flip').tolist())"
    for salt in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": salt},
        )
        assert done.stdout.strip() == str(uniform(3, 5, range(4), "flip").tolist())


def ours(images: np.ndarray, seed: int, epoch: int, stream: str) -> np.ndarray:
    return uniform(seed, epoch, images, stream)


def golden(images: np.ndarray, seed: int, epoch: int, stream: str) -> np.ndarray:
    """Even, but each number tells the next: multiples of the golden ratio."""
    return (0.6180339887498949 * (images + 1) * (epoch + 1) + 0.1 * len(stream) + 0.01 * seed) % 1


def one_round(images: np.ndarray, seed: int, epoch: int, stream: str) -> np.ndarray:
    """The cipher cut to one round of ten."""
    counter = np.stack([images, 0 * images, 0 * images + epoch, 0 * images + STREAMS.index(stream)]).astype(np.uint64)
    return philox(counter, (seed, 0), rounds=1)[0] / 2**32


def summed_keys(images: np.ndarray, seed: int, epoch: int, stream: str) -> np.ndarray:
    """Keys that are added before they are mixed: image 1 in epoch 0 is image 0 in epoch 1."""
    return uniform(seed, 0, images + epoch + STREAMS.index(stream), 0)


def squared(images: np.ndarray, seed: int, epoch: int, stream: str) -> np.ndarray:
    return ours(images, seed, epoch, stream) ** 1.05


def flaws(draw: Grid) -> list[str]:
    """What is statistically wrong, each at five standard deviations or p < 1e-6."""
    count = len(IMAGES)
    numbers = {
        (seed, epoch, stream): draw(IMAGES, seed, epoch, stream)
        for seed in (0, 1)
        for epoch in (1, 2)
        for stream in STREAMS
    }
    found = []
    first = numbers[0, 1, "flip"]
    if not (first.min() >= 0 and first.max() < 1):
        found.append("range")
    if abs(first.mean() - 0.5) > 5 * np.sqrt(1 / 12 / count):
        found.append("mean")
    if abs(first.var() - 1 / 12) > 5 * np.sqrt(1 / 180 / count):
        found.append("variance")
    if stats.chisquare(np.bincount((first * 100).astype(int), minlength=100)).pvalue < 1e-6:
        found.append("shares")
    neighbours = {
        "next image": (first[:-1], first[1:]),
        "image after that": (first[:-2], first[2:]),
        "next epoch": (first, numbers[0, 2, "flip"]),
        "next seed": (first, numbers[1, 1, "flip"]),
        "other stream": (first, numbers[0, 1, "down"]),
        "third stream": (first, numbers[0, 1, "right"]),
        "next image of next epoch": (first[1:], numbers[0, 2, "flip"][:-1]),
        "next image of other stream": (first[1:], numbers[0, 1, "down"][:-1]),
    }
    for name, (one, other) in neighbours.items():
        counts = np.bincount((one * 16).astype(int) * 16 + (other * 16).astype(int), minlength=256)
        chance = stats.chisquare(counts).pvalue
        if chance < 1e-6 or chance > 1 - 1e-6 or abs(np.corrcoef(one, other)[0, 1]) > 5 / np.sqrt(count):
            found.append(name)
    return found


def test_the_numbers_are_uniform_and_neighbours_know_nothing_of_each_other() -> None:
    assert flaws(ours) == []


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        (golden, "next image"),
        (one_round, "next image"),
        (summed_keys, "next image of next epoch"),
        (squared, "mean"),
    ],
)
def test_the_statistics_fail_a_bad_generator(bad: Grid, flaw: str) -> None:
    assert flaw in flaws(bad)


def test_every_seed_and_every_bit_counts() -> None:
    base = uniform(0, 0, IMAGES, 0)
    others = [uniform(1 << bit, 0, IMAGES, 0) for bit in range(64)]
    others += [uniform(0, 1 << bit, IMAGES, 0) for bit in range(32)]
    others += [uniform(0, 0, IMAGES, 1 << bit) for bit in range(31)]
    correlations = [abs(np.corrcoef(base, other)[0, 1]) for other in others]
    assert max(correlations) < 5 / np.sqrt(len(IMAGES))
    assert len(np.unique(uniform(0, 0, np.int64(1) << np.arange(63), 0))) == 63


@pytest.mark.parametrize(
    ("seed", "epoch", "image", "stream"),
    [(-1, 0, 0, 0), (1 << 64, 0, 0, 0), (0, -1, 0, 0), (0, 1 << 32, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)],
)
def test_names_out_of_range_are_refused(seed: int, epoch: int, image: int, stream: int) -> None:
    with pytest.raises(UsageError):
        uniform(seed, epoch, [image], stream)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.2, 0.4, 1.0, 1.5, 8.0, 100.0])
def test_beta_quantiles_are_scipys(alpha: float) -> None:
    shares = np.concatenate([np.linspace(0, 1, 2001)[1:-1], [1e-6, 1 - 1e-6]])
    ours_, theirs = beta_quantile(alpha, shares), special.betaincinv(alpha, alpha, shares)
    np.testing.assert_allclose(ours_, theirs, atol=2e-4)
    assert (np.diff(ours_[:1999]) >= 0).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_numbers_have_their_distribution(alpha: float) -> None:
    numbers = beta_quantile(alpha, uniform(0, 1, IMAGES, "mixup"))
    assert stats.kstest(numbers, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert stats.kstest(numbers, stats.beta(alpha * 1.2, alpha * 1.2).cdf).pvalue < 1e-3
