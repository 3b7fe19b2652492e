"""Whether our rows agree with the paper's: a verdict for each, and Kendall's tau for their order."""

from collections.abc import Sequence
from itertools import combinations

from ablations.tables.table import Line, Table


def verdict(line: Line, table: Table) -> str:
    """Our row against the paper's: first whether both fail, then whether both lie on the same side of the baseline row.

    "not resolved" if our seeds cannot tell the row from its baseline.
    """
    if not line.comparable:
        return ""
    if line.fails != line.paper_fails:
        return "differs: ours fails" if line.fails else "differs: the paper's fails"
    if line.fails:
        return "agrees: fails"
    baseline, comparison = table.line(line.row.baseline), table.comparison(line)
    if baseline is None or baseline.paper_error is None:
        return "learns, as there"
    if comparison is None or not comparison.resolved:
        return f"not resolved by {len(comparison.differences) if comparison else 0} seeds".replace("1 seeds", "1 seed")
    ours = "worse" if comparison.mean > 0 else "better"
    theirs = "worse" if paper_key(line) > paper_key(baseline) else "better"
    return f"{'agrees' if ours == theirs else 'differs'}: {ours} than {baseline.row.name}"


def kendall_tau(table: Table) -> tuple[float | None, int]:
    """Kendall's tau-b between the paper's order and ours, as `tau_b` has it, and the number of rows; all fails are tied."""
    lines = [line for line in table.lines if line.comparable]
    return tau_b([paper_key(line) for line in lines], [_our_key(line) for line in lines]), len(lines)


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
