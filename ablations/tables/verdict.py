"""Whether our rows agree with the paper's: a verdict for each, and Kendall's tau for the order of each group."""

from collections.abc import Sequence
from itertools import combinations

from ablations.tables.groups import Group, groups
from ablations.tables.table import Line, Table


def verdict(line: Line, table: Table) -> str:
    """Our row against the paper's: first whether both fail, then whether both lie on the same side of the baseline row.

    "not resolved" if our seeds cannot tell the row from its baseline. A row that fails has no verdict, but the reason,
    where its baseline fails, too, or is not run: the row's own settings need not be why.
    """
    if not line.comparable:
        return ""
    baseline, comparison = table.line(line.row.baseline), table.comparison(line)
    if line.fails and baseline and (not baseline.n or baseline.fails):
        return without_baseline(baseline)
    if line.fails != line.paper_fails:
        return "differs: ours fails" if line.fails else "differs: the paper's fails"
    if line.fails:
        return "agrees: fails"
    if baseline is None or baseline.paper_error is None:
        return "learns, as there"
    if not baseline.n:
        return without_baseline(baseline)
    if comparison is None or not comparison.resolved:
        return f"not resolved by {len(comparison.differences) if comparison else 0} seeds".replace("1 seeds", "1 seed")
    ours = "worse" if comparison.mean > 0 else "better"
    theirs = "worse" if paper_key(line) > paper_key(baseline) else "better"
    return f"{'agrees' if ours == theirs else 'differs'}: {ours} than {baseline.row.name}"


def without_baseline(baseline: Line) -> str:
    """What stands in place of a verdict, because of a baseline that fails or has no runs."""
    if baseline.n:
        return "baseline fails"
    return "baseline not readable" if baseline.unreadable else "baseline not run"


def kendall_taus(table: Table) -> list[tuple[Group, float, int]]:
    """Of each group of rows that has one: Kendall's tau-b between the paper's order and ours, as `tau_b` has it, and the
    number of rows; all fails are tied.

    Never over several groups: two networks of which one has the lower errors would then count in every pair of their
    rows, which says nothing about the order of the rows.
    """
    found = []
    for group in groups(table):
        lines = [line for line in group.lines if line.comparable]
        tau = tau_b([paper_key(line) for line in lines], [_our_key(line) for line in lines])
        found += [] if tau is None else [(group, tau, len(lines))]
    return found


def tau_b(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b between two orders of the same things; inf is a place like any other.

    None for fewer than three things, or if one of the orders consists of ties only.
    """
    ones, others = ([_sign(*pair) for pair in combinations(order, 2)] for order in (first, second))
    pairs = sum(map(abs, ones)) * sum(map(abs, others))  # those that are not tied, in each order
    if len(first) < 3 or not pairs:
        return None
    return sum(one * other for one, other in zip(ones, others, strict=True)) / pairs**0.5


def paper_key(line: Line) -> float:
    """The place of a row for which the paper has a result: its error in percent; inf if it fails."""
    return float("inf") if line.paper_error is None else line.paper_error


def _our_key(line: Line) -> float:
    return float("inf") if line.fails else line.median


def _sign(first: float, second: float) -> int:
    return (first > second) - (first < second)
