"""Keyed random numbers: each is a function of (seed, epoch, image, stream) and of nothing else.

A generator that is drawn from in turn gives a photo other numbers when the batch, the order, the number of workers or
the epoch at which a training is resumed changes. Here the four names are encrypted, by Philox4x32-10 of Random123
(doi:10.1145/2063384.2063405), and the cipher is the number.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kopal.errors import UsageError

Numbers = NDArray[np.float64]
Words = NDArray[np.uint64]

ROUNDS = 10
_LOW = 0xFFFFFFFF
_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)

KNOTS = 4097
"""Points of the table of a Beta distribution."""


def uniform(seed: int, epoch: int, images: ArrayLike, stream: int | str) -> Numbers:
    """Indices of images in the training set (N,) → (N,) in [0, 1). See `uniforms`."""
    (numbers,) = uniforms(seed, epoch, images, (stream,))
    return np.asarray(numbers)


def uniforms(seed: int, epoch: int, images: ArrayLike, streams: Sequence[int | str]) -> Numbers:
    """Indices of images in the training set (N,), S streams → (S, N) in [0, 1), multiples of 2^-53.

    A stream is one use of a number, such as "flip": a name, or a number below 2^31. Seeds go to 2^64, epochs to 2^32.
    Raises `UsageError` for what is out of range.
    """
    which = np.asarray(images, np.int64)
    if not (0 <= seed < 1 << 64 and 0 <= epoch < 1 << 32) or which.min(initial=0) < 0:
        raise UsageError(
            f"no random numbers for seed {seed}, epoch {epoch}, image {which.min(initial=0)}",
            "a seed from 0 to 2^64 - 1, an epoch from 0 to 2^32 - 1, images from 0",
        )
    counter = np.empty((4, len(streams), which.size), np.uint64)
    counter[0], counter[1] = which & _LOW, which >> 32
    counter[2], counter[3] = epoch, np.array([_stream_number(stream) for stream in streams], np.uint64)[:, None]
    words = philox(counter, (seed & _LOW, seed >> 32))
    return np.asarray(((words[0] << np.uint64(21)) | (words[1] >> np.uint64(11))) * 2.0**-53)


def philox(counter: Words, key: tuple[int, int], rounds: int = ROUNDS) -> Words:
    """Counters (4, ...) and a key, all words of 32 bits → their ciphers (4, ...)."""
    low, half = np.uint64(_LOW), np.uint64(32)
    along = (2,) + (1,) * (counter.ndim - 1)
    multipliers = _MULTIPLIERS.reshape(along)
    even, odd = counter[0::2], counter[1::2]
    for turn in range(rounds):
        keys = np.array([(word + turn * step) & _LOW for word, step in zip(key, _KEY_STEPS, strict=True)], np.uint64)
        product = (even * multipliers)[::-1]
        even, odd = (product >> half) ^ odd ^ keys.reshape(along), product & low
    return np.stack([even[0], odd[0], even[1], odd[1]])


def beta_quantile(alpha: float, shares: Numbers) -> Numbers:
    """Where the distribution function of Beta(alpha, alpha) reaches the shares (N,): uniform numbers → Beta numbers."""
    reached, powers = _beta_table(alpha)
    below = np.minimum(shares, 1 - shares)
    lower = np.interp(below, reached, powers) ** (1 / min(alpha, 1.0))
    return np.where(shares <= 0.5, lower, 1 - lower)


@lru_cache(maxsize=8)
def _beta_table(alpha: float) -> tuple[Numbers, Numbers]:
    """The distribution function of Beta(alpha, alpha) up to its middle, at evenly spaced powers of x.

    Below alpha 1 the density x^(alpha - 1) (1 - x)^(alpha - 1) is infinite at 0. In v = x^alpha it is (1 - x)^(alpha -
    1) / alpha, between 1 and 2 of whatever unit, so that the trapezoid rule and straight lines between knots are good.
    """
    power = min(alpha, 1.0)
    v = np.linspace(0, 0.5**power, KNOTS)
    x = v ** (1 / power)
    density = x ** (alpha - power) * (1 - x) ** (alpha - 1)
    reached = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return reached * (0.5 / reached[-1]), v


def _stream_number(stream: int | str) -> int:
    """Numbers as they are, names in the upper half of 32 bits."""
    if isinstance(stream, str):
        return zlib.crc32(stream.encode()) | 1 << 31
    if not 0 <= stream < 1 << 31:
        raise UsageError(f"stream {stream}", "a name, or a number from 0 to 2^31 - 1")
    return stream
