"""Chances, bands and tests of counts are SciPy's, to many digits; Wilson's interval keeps its promise."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from kopal.metrics import Z95, wilson
from kopal.trust.binomial import (
    at_most,
    band,
    beta_binomial,
    clopper_pearson,
    incomplete_beta,
    kolmogorov,
    mcnemar,
    upper_bound,
)

EXAMPLES = settings(deadline=None, derandomize=True)
counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@EXAMPLES
@given(st.floats(0.01, 1e5), st.floats(0.01, 1e5), st.floats(0, 1))
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-7, abs=1e-12)


@EXAMPLES
@given(counts, st.floats(0.001, 0.999))
def test_the_chance_of_so_few_is_scipys(case: tuple[int, int], share: float) -> None:
    count, n = case
    assert at_most(count, n, share) == pytest.approx(stats.binom.cdf(count, n, share), rel=1e-7, abs=1e-12)


@EXAMPLES
@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_exact_interval_is_scipys(case: tuple[int, int], confidence: float) -> None:
    count, n = case
    theirs = stats.binomtest(count, n).proportion_ci(confidence, "exact")
    assert clopper_pearson(count, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    one_sided = stats.binomtest(count, n, alternative="less").proportion_ci(confidence, "exact")
    assert upper_bound(count, n, confidence) == pytest.approx(one_sided.high, abs=1e-9)


def test_149_answers_without_an_error_are_the_fewest_for_2_percent() -> None:
    assert upper_bound(0, 149) < 0.02 < upper_bound(0, 148)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("n", "a", "b"), [(1, 1, 1), (30, 9, 1), (300, 90, 11), (5000, 950, 51)])
def test_the_beta_binomial_is_scipys_and_its_band_holds_95_in_100(n: int, a: int, b: int) -> None:
    chances = beta_binomial(n, a, b)
    np.testing.assert_allclose(chances, stats.betabinom.pmf(np.arange(n + 1), n, a, b), rtol=1e-7, atol=1e-15)
    low, high = band(chances)
    assert chances[low : high + 1].sum() >= 0.95
    assert (low, high) == stats.betabinom.interval(0.95, n, a, b)


@EXAMPLES
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_test_of_one_half(first: int, second: int) -> None:
    theirs = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (600, 300), (3000, 3000)])
def test_the_p_of_a_distance_is_near_scipys(n: int, m: int) -> None:
    for distance in (0.05, 0.1, 0.2, 0.3):
        exact = stats.kstwo.sf(distance, n * m // (n + m))
        assert kolmogorov(distance, n, m) == pytest.approx(exact, abs=0.03)
    assert kolmogorov(0.0, n, m) == 1.0


def wald(right: int, n: int) -> tuple[float, float]:
    """The interval of many textbooks, which is known to promise too much."""
    share = right / n
    half = Z95 * sqrt(share * (1 - share) / n)
    return share - half, share + half


def keeps_its_promise(interval: Callable[[int, int], tuple[float, float]], n: int) -> bool:
    """Whether the chance to hold the truth, summed exactly over all counts, is 95 % on average and 90 % at least."""
    ends = np.array([interval(right, n) for right in range(n + 1)])
    shares = np.linspace(0.05, 0.95, 181)
    held = [
        float(stats.binom.pmf(np.arange(n + 1), n, share)[(ends[:, 0] <= share) & (share <= ends[:, 1])].sum())
        for share in shares
    ]
    return 0.94 <= np.mean(held) <= 0.965 and min(held) >= 0.9


@pytest.mark.parametrize("n", [15, 50])
def test_wilsons_interval_keeps_its_promise_and_another_does_not(n: int) -> None:
    assert keeps_its_promise(wilson, n)
    assert not keeps_its_promise(wald, n)
