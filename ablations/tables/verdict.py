"""Whether our rows agree with the paper's: a verdict for each, and Kendall's tau for their order."""

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
    theirs = "worse" if _paper_key(line) > _paper_key(baseline) else "better"
    return f"{'agrees' if ours == theirs else 'differs'}: {ours} than {baseline.row.name}"


def kendall_tau(table: Table) -> tuple[float | None, int]:
    """Kendall's tau-b between the paper's order and ours, and the number of rows; all rows that fail are tied.

    None for fewer than three rows, or if one of the orders consists of ties only.
    """
    lines = [line for line in table.lines if line.comparable]
    concordant = discordant = paper_pairs = our_pairs = 0
    for first, second in combinations(lines, 2):
        paper = _sign(_paper_key(first), _paper_key(second))
        ours = _sign(_our_key(first), _our_key(second))
        paper_pairs, our_pairs = paper_pairs + bool(paper), our_pairs + bool(ours)
        concordant, discordant = concordant + (paper * ours > 0), discordant + (paper * ours < 0)
    if len(lines) < 3 or not paper_pairs or not our_pairs:
        return None, len(lines)
    return (concordant - discordant) / (paper_pairs * our_pairs) ** 0.5, len(lines)


def _paper_key(line: Line) -> float:
    return float("inf") if line.paper_error is None else line.paper_error  # comparable and without an error: it fails


def _our_key(line: Line) -> float:
    return float("inf") if line.fails else line.median


def _sign(first: float, second: float) -> int:
    return (first > second) - (first < second)
