"""The exact test of fails at equal depths."""

import itertools
from math import prod

import pytest
from scipy.stats import fisher_exact

from ablations.tables import exact


@pytest.mark.parametrize("first,second", [((3, 3), (0, 3)), ((2, 5), (1, 3)), ((0, 4), (4, 4)), ((1, 1), (1, 1))])
def test_at_one_depth_it_is_fishers(first, second):
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    assert exact.p_value({20: first}, {20: second}) == pytest.approx(fisher_exact(table).pvalue)


def test_over_depths_it_is_the_count_of_all_ways_to_share_the_fails():
    first, second = {20: (1, 3), 56: (3, 3), 110: (3, 3)}, {20: (0, 3), 56: (1, 3), 110: (2, 3), 164: (3, 3)}
    sums = [0] * 10
    for fails in itertools.product(*(itertools.product((0, 1), repeat=6) for _ in range(3))):
        if [sum(depth) for depth in fails] == [1, 4, 5]:
            sums[sum(sum(depth[:3]) for depth in fails)] += 1
    expected = sum(count for count in sums if count <= sums[7]) / sum(sums)
    assert sum(sums) == prod((6, 15, 6))
    assert exact.p_value(first, second) == pytest.approx(expected) == exact.p_value(second, first)


def test_nothing_to_compare():
    assert exact.p_value({20: (1, 3)}, {32: (1, 3)}) is None
    assert exact.p_value({20: (3, 3)}, {20: (2, 2)}) == 1
