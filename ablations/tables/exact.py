"""An exact test of whether two rows fail equally often at equal depths, however few runs there are."""

from collections.abc import Mapping
from math import comb

SAME = 1 + 1e-9  # probabilities that differ by less are equal, but for rounding


def p_value(first: Mapping[int, tuple[int, int]], second: Mapping[int, tuple[int, int]]) -> float | None:
    """Two-sided, over the depths that both rows have; None if there are none.

    first, second: depth -> (how many runs fail, of how many). Given how many runs of both fail at a depth, that of the
    first is hypergeometric if the two are alike; the test is of its sum over depths (Mehta, Patel and Gray 1985, with
    Fisher's two sides: all sums that are no likelier than the observed one).
    """
    shared = first.keys() & second.keys()
    if not shared:
        return None
    likely = {0: 1.0}
    for depth in shared:
        (fails, runs), (others, of_others) = first[depth], second[depth]
        of_depth = _hypergeometric(fails + others, runs, of_others)
        sums: dict[int, float] = {}
        for before, p in likely.items():
            for here, q in of_depth.items():
                sums[before + here] = sums.get(before + here, 0.0) + p * q
        likely = sums
    observed = likely[sum(first[depth][0] for depth in shared)]
    return min(1.0, sum(p for p in likely.values() if p <= observed * SAME))


def _hypergeometric(fails: int, runs: int, others: int) -> dict[int, float]:
    """How likely each number of fails among the runs of the first is, if `fails` of all are drawn blindly."""
    total = comb(runs + others, fails)
    return {
        k: comb(runs, k) * comb(others, fails - k) / total for k in range(max(0, fails - others), min(runs, fails) + 1)
    }
