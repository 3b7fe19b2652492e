"""Firth's logistic regression against what is known in closed form, a textbook version, and exact coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import binom

from ablations.tables import firth

DEPTHS = (20, 32, 44, 56, 110, 164)
SEPARATED, MIXED = (0, 0, 0, 0, 3, 3), (0, 1, 1, 2, 2, 3)


def outcomes(fails, depths=DEPTHS, runs=3):
    return {depth: (count, runs) for depth, count in zip(depths, fails, strict=True)}


def textbook(beta, design, fails, runs):
    """log L + log|X^T W X| / 2, for any number of columns; -inf where the determinant is too small for its digits."""
    p = expit(design @ beta)
    likelihood = fails @ np.log(p) + (runs - fails) @ np.log(1 - p)
    sign, information = np.linalg.slogdet(design.T @ (design * (runs * p * (1 - p))[:, None]))
    return likelihood + information / 2 if sign > 0 else -np.inf


def arrays(fails, runs=3):
    return np.log(DEPTHS), np.array(fails, float), np.full(len(DEPTHS), float(runs))


@pytest.mark.parametrize("fails,runs", [((0, 3), (3, 3)), ((1, 2), (3, 4)), ((0, 1), (1, 1)), ((2, 39), (40, 40))])
def test_of_two_x_half_a_run_is_added_to_each_cell(fails, runs):
    """Firth 1993: of a saturated model the estimates are the empirical logits with 1/2 added to both counts."""
    x, (fails, runs) = np.array([1.0, 4.0]), np.array([fails, runs], float)
    a, b = firth.fit(x, fails, runs)
    assert a + b * x == pytest.approx(np.log((fails + 0.5) / (runs - fails + 0.5)), abs=1e-5)


@pytest.mark.parametrize("fails", [SEPARATED, MIXED, (0, 0, 0, 0, 0, 1), (2, 3, 3, 3, 3, 3)])
def test_the_maximum_is_that_of_the_textbook(fails):
    """Also where maximum likelihood has none, for the slope would be infinite."""
    x, fails, runs = arrays(fails)
    a, b = firth.fit(x, fails, runs)
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    found = minimize(lambda beta: -textbook(beta, design, fails, runs), [0.0, 1.0], method="BFGS")
    assert (a + b * x.mean(), b) == pytest.approx(found.x, abs=2e-4)
    assert firth.penalised(a + b * x, x, fails, runs) == pytest.approx(-found.fun, abs=1e-7)


def test_the_determinant_keeps_its_digits():
    """Far from all x a weight is e^-100 of another; the textbook's determinant is then rounded away."""
    x, fails, runs = arrays(SEPARATED)
    logit, w = 200 * (x - 2.0), np.log(3) - 200 * (x - 2.0)
    expected = (w[0] + w[1] + 2 * np.log(x[1] - x[0])) / 2  # the other pairs are nothing beside this one
    likelihood = -logit[:4].sum() * 3
    assert firth.penalised(logit, x, fails, runs) == pytest.approx(likelihood + expected)


@pytest.mark.parametrize("fails", [SEPARATED, MIXED])
def test_the_interval_is_what_the_profile_does_not_reject(fails):
    """By trying many depths and slopes."""
    x, fails, runs = arrays(fails)
    grid, slopes = np.linspace(x[0], x[-1], 100), np.geomspace(0.05, 60, 80)
    profile = np.array([max(firth.penalised(b * (x - c), x, fails, runs) for b in slopes) for c in grid])
    a, b = firth.fit(x, fails, runs)
    best = firth.penalised(a + b * x, x, fails, runs)
    inside = np.exp(grid[2 * (best - profile) < 3.841459])
    found = firth.crossing(outcomes(fails.astype(int)))
    assert found.x == pytest.approx(np.exp(-a / b)) and inside[0] < found.x < inside[-1]
    assert (found.low, found.high or DEPTHS[-1]) == pytest.approx((inside[0], inside[-1]), rel=0.025)


def test_twice_the_depths_are_twice_the_critical_depth():
    one = firth.crossing(outcomes(SEPARATED))
    two = firth.crossing(outcomes(SEPARATED, [2 * depth for depth in DEPTHS]))
    assert (two.x, two.low, two.high) == pytest.approx((2 * one.x, 2 * one.low, 2 * one.high), rel=1e-4)


def test_the_interval_holds_the_truth_in_95_of_100_cases():
    """Exactly, by all that three seeds at three depths can give. Steep curves do better: a gap of depths holds them."""
    depths, runs = (20, 57, 164), 3
    crossings = {
        fails: firth.crossing(outcomes(fails, depths))
        for fails in itertools.product(range(runs + 1), repeat=len(depths))
    }
    coverage = []
    for slope, truth in itertools.product((0.5, 1, 2, 4), (15, 25, 57, 100, 200)):
        p = expit(slope * np.log(np.divide(depths, truth)))
        coverage.append(
            sum(
                binom.pmf(fails, runs, p).prod()
                for fails, found in crossings.items()
                if (found.low or 0) <= truth <= (found.high or math.inf)
            )
        )
    assert 0.94 < min(coverage) < 0.98, coverage  # an interval that holds everything has 1


@pytest.mark.parametrize(
    "fails,runs,expected",
    [
        ((0, 0, 0, 0, 0, 0), 3, firth.Crossing(math.inf, low=110)),  # six runs at 110 and 164: 1/64
        ((0, 0, 0, 0, 0, 0), 6, firth.Crossing(math.inf, low=164)),
        ((0, 0, 0, 0, 0, 0), 1, firth.Crossing(math.inf, low=20)),
        ((3, 3, 3, 3, 3, 3), 3, firth.Crossing(0.0, high=32)),
        ((1, 0, 0, 0, 0, 0), 3, firth.Crossing(math.inf, low=110)),  # fails do not grow with depth
        ((3, 3, 3, 3, 3, 2), 3, firth.Crossing(0.0, high=32)),
        ((1, 1, 0, 0, 1, 0), 4, firth.Crossing(math.inf, low=56)),  # at most 1 head in 12 coins: 0.3 %, in 8: 3.5 %
        ((1, 1, 1, 0, 0, 0), 2, firth.Crossing(math.inf)),  # 3 in 12 coins: 7 %; that of 20 layers comes first
        ((3, 3, 3, 0, 0, 0), 3, firth.Crossing(math.nan)),
    ],
)
def test_without_a_trend_the_limit_is_exact(fails, runs, expected):
    assert repr(firth.crossing(outcomes(fails, runs=runs))) == repr(expected)


def test_few_runs_have_no_limit_and_one_depth_no_curve():
    assert firth.crossing({20: (0, 3), 110: (0, 2)}) == firth.Crossing(math.inf)
    assert firth.crossing({110: (1, 3)}) == firth.Crossing(math.inf)
    assert firth.crossing({110: (2, 3)}) == firth.Crossing(0.0)


@pytest.mark.parametrize("count", [1, 500])
def test_many_seeds_and_one(count):
    """More seeds narrow the interval, down to the gap of depths in which half fail."""
    found = firth.crossing(outcomes((0, 0, 0, 0, count, count), runs=count))
    assert found.x == pytest.approx(79, rel=0.03)
    assert (found.low < 44 and found.high is None) if count == 1 else (found.low > 65 and found.high < 95)
