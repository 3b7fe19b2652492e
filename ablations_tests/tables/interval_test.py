"""Intervals and tests against SciPy and published examples, and the power that two-sided t-tests have."""

import numpy as np
import pytest
from scipy.stats import binomtest, nct, t, ttest_1samp, ttest_ind, ttest_rel

from ablations.tables import interval


@pytest.mark.parametrize("wrong", [0, 1, 14, 359, 360])
def test_one_run_is_exact_binomial(wrong):
    expected = binomtest(wrong, 360).proportion_ci(method="exact")
    assert interval.binomial(100 * wrong / 360, 360) == pytest.approx((100 * expected.low, 100 * expected.high))


# Student (1908), from Cushny and Peebles (1905): hours of sleep gained by ten patients with two drugs.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_own_example():
    """The mean difference is 1.58 hours, t = 4.06 with 9 degrees of freedom, p = 0.0028."""
    differences = [second - first for first, second in zip(FIRST, SECOND, strict=True)]
    assert interval.student(differences) == pytest.approx((0.70, 2.46), abs=0.005)
    assert interval.p_value(differences) == pytest.approx(0.002833, abs=1e-6)
    assert interval.p_value(differences) == pytest.approx(float(ttest_rel(SECOND, FIRST).pvalue))
    assert interval.p_value([0.28, 0.28]) == 1.0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_an_interval_of_few_seeds_holds_the_mean_as_often_as_it_says(n):
    drawn = np.random.default_rng(n).normal(6.6, 0.2, size=(4000, n))
    inside = [low <= 6.6 <= high for low, high in map(interval.student, drawn.tolist())]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    "p_values,corrected",
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm(p_values, corrected):
    assert interval.holm(p_values) == pytest.approx(corrected)


def test_welchs_test_is_scipys():
    """And R's t.test(extra ~ group, sleep): Student's patients as two groups, t = -1.8608, 17.776 degrees, p = 0.07939."""
    assert interval.welch_p_value(FIRST, SECOND) == pytest.approx(0.07939, abs=5e-6)
    few, many = [3.0, 4.5], [9.0, 1.0, 12.5, 8.0]
    assert interval.welch_p_value(few, many) == pytest.approx(float(ttest_ind(few, many, equal_var=False).pvalue))
    assert interval.welch_p_value([1.0, 1.0], [2.0, 2.0]) == 1.0


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("tests", [1, 4, 42])
def test_what_seeds_resolve_has_the_power_it_claims(n, tests):
    difference, freedom = interval.resolvable(0.2, n, tests), n - 1
    power = 1 - nct.cdf(t.ppf(1 - 0.025 / tests, freedom), freedom, difference / 0.2 * (n / 2) ** 0.5)
    assert power == pytest.approx(0.8, abs=2e-5)


def test_the_pairs_that_a_paired_t_test_needs():
    """R's pwr.t.test(d=0.5, power=0.8, type="paired"): 33.37 pairs, so 34; d is of the differences, std * sqrt(2)."""
    assert interval.resolvable(0.5**0.5, 34) < 0.5 < interval.resolvable(0.5**0.5, 33)


@pytest.mark.parametrize("n,tests", [(3, 1), (3, 4), (5, 8)])
def test_the_tests_of_a_table_find_what_seeds_resolve_four_times_in_five(n, tests):
    """By simulation: one row differs from its baseline by so much, the others do not; Holm's correction over all."""
    drawn = np.random.default_rng(n * tests).normal(6.6, 0.2, size=(2, 4000, tests, n))
    differences = drawn[0] - drawn[1]
    differences[:, 0] += interval.resolvable(0.2, n, tests)
    found = ttest_1samp(differences, 0.0, axis=-1).pvalue.tolist()
    assert np.mean([interval.holm(p_values)[0] <= 0.05 for p_values in found]) == pytest.approx(0.8, abs=0.02)
