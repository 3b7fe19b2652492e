"""Intervals against SciPy, and the power that two-sided t-tests have."""

import numpy as np
import pytest
from scipy.stats import binomtest, nct, t

from ablations.tables import interval


@pytest.mark.parametrize("wrong", [0, 1, 14, 359, 360])
def test_one_run_is_exact_binomial(wrong):
    expected = binomtest(wrong, 360).proportion_ci(method="exact")
    assert interval.binomial(100 * wrong / 360, 360) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_the_bootstrap_is_that_of_the_mean_and_always_the_same():
    """Of two seeds the percentiles are known: both draws are the lower one in a quarter of cases."""
    assert interval.bootstrap([3.0, 5.0]) == (3.0, 5.0)
    errors = list(np.random.default_rng(1).normal(6.6, 0.2, size=200))
    low, high = interval.bootstrap(errors)
    half = 1.96 * np.std(errors) / 200**0.5
    assert (low, high) == pytest.approx((np.mean(errors) - half, np.mean(errors) + half), abs=0.005)
    assert interval.bootstrap(errors) == (low, high)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
def test_what_seeds_resolve_has_the_power_it_claims(n):
    difference, freedom = interval.resolvable(0.2, n), 2 * n - 2
    power = 1 - nct.cdf(t.ppf(0.975, freedom), freedom, difference / 0.2 * (n / 2) ** 0.5)
    assert power == pytest.approx(0.8, abs=1e-6)
