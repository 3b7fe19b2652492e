"""What a table says, in sentences for someone who has not read the paper; every number is computed from the runs."""

from ablations.runs.record import FAIL_PERCENT
from ablations.tables import cells, columns
from ablations.tables.table import Line, Table, compare
from ablations.tables.verdict import verdict

FEW = 3  # of more groups of rows, only the best of each is named


def answer(table: Table) -> list[str]:
    """First which rows learn in each column, if the table has columns; then which row is best, how certain that is, and
    what else the rows say.

    Rows with different baselines, such as networks of different depth, are different questions: each group has its own
    answer.
    """
    ordered_groups = [sorted(lines, key=lambda line: line.median) for lines in groups(table)]
    if not ordered_groups:
        return ["Nothing of this study has been run yet."]
    sentences = [" ".join(_best(ordered) for ordered in ordered_groups)]
    if len(ordered_groups) <= FEW:
        sentences += [_next(ordered) for ordered in ordered_groups]
    by_column = columns.of(table)
    sentences = [columns.reading(by_column), *sentences] if by_column else [*sentences, _fails(table)]
    sentences += [cells.resolution(table), _paper(table)]
    return [sentence for sentence in sentences if sentence]


def groups(table: Table) -> list[list[Line]]:
    """The rows that have runs, grouped with the baseline that they share, or with those of which one is chosen."""
    grouped = {}
    chosen_from = {name: f"best of {row.name}" for row in table.study.rows for name in row.best_of}
    for line in table.lines:
        if line.n and not line.row.tests:
            name = line.row.name
            grouped.setdefault(line.row.baseline or chosen_from.get(name, name), []).append(line)
    return list(grouped.values())


def _best(ordered: list[Line]) -> str:
    best = ordered[0]
    if best.median == float("inf"):
        return f"No row learns: {_all(ordered)} without an error, for their losses diverged."
    if best.fails:
        return f"No row learns: {_all(ordered)} above {FAIL_PERCENT:g} %. The lowest is {best.row.name}, with {_error(best)}."
    if len(ordered) == 1:
        return f"Only {best.row.name} is run: {_error(best)}."
    ties = [line.row.name for line in ordered if line.median == best.median]
    text = f"{'Best is' if len(ties) == 1 else 'Best are'} {cells.listed(ties)}, with {_error(best)}"
    unsure = _unsure(ordered)
    if unsure:
        seeds = f"{best.n} seeds" if best.n > 1 else "one seed"
        return f"{text}; {seeds} cannot tell it from {cells.listed(unsure)}."
    return f"{text}{', the only row that learns' if len(_learning(ordered)) == 1 else ''}."


def _learning(ordered: list[Line]) -> list[Line]:
    return [line for line in ordered if not line.fails]


def _unsure(ordered: list[Line]) -> list[str]:
    """The rows that learn and that the seeds cannot tell from the best row."""
    best, *others = _learning(ordered)
    behind = [line for line in others if line.median > best.median]
    compared = zip(behind, compare([(line, best) for line in behind]), strict=True)
    return [line.row.name for line, comparison in compared if comparison is None or not comparison.resolved]


def _all(lines: list[Line]) -> str:
    return "the only row ends" if len(lines) == 1 else f"all {len(lines)} rows end"


def _error(line: Line) -> str:
    """The median, and over how many seeds."""
    if line.n == 1:
        return f"{line.median:.2f} % test error (one seed)"
    spread = f"from {min(line.finite):.2f} to {max(line.finite):.2f} %" if not line.diverged else "some diverged"
    return f"{line.median:.2f} % test error (the median of {line.n} seeds, {spread})"


def _next(ordered: list[Line]) -> str:
    """The second best row, and how far it is behind the best, seed by seed."""
    behind = [line for line in _learning(ordered) if line.median > ordered[0].median]
    if not behind:
        return ""
    best, second = ordered[0], behind[0]
    text = f"After {best.row.name} comes {second.row.name}, with {_error(second)}."
    [comparison] = compare([(second, best)])
    if comparison is None or comparison.interval is None:
        return f"{text} Without two seeds that both have, nobody can say how much of the difference is chance."
    low, high = comparison.interval
    difference = f"{comparison.mean:+.2f} points on average, 95 % interval {low:+.2f} to {high:+.2f}"
    if comparison.resolved:
        return f"{text} Seed by seed it differs by {difference}: more than chance explains."
    return f"{text} Seed by seed it differs by {difference}, which holds 0."


def _fails(table: Table) -> str:
    run = [line for line in table.lines if line.n]
    failing = [line.row.name for line in run if line.fails]
    if not failing or len(failing) == len(run):
        return ""
    return (
        f"{len(failing)} of {len(run)} rows fail, which is a median above {FAIL_PERCENT:g} %: {cells.listed(failing)}."
    )


def _paper(table: Table) -> str:
    """In what the rows agree with the paper's."""
    verdicts = [verdict(line, table) for line in table.lines]
    kinds = {
        "agrees: fails": "{} there and here",
        "differs: ours fails": "{} here only",
        "differs: the paper's fails": "{} there only",
    }
    failing = [text.format(verdicts.count(kind)) for kind, text in kinds.items() if kind in verdicts]
    sides = {
        "agrees: ": "{} on the same side of the baseline as there",
        "differs: ": "{} on the other side",
        "not resolved": "{} not resolved by so few seeds",
    }
    learning = [text for text in verdicts if text not in kinds]
    counts = {text: sum(ours.startswith(kind) for ours in learning) for kind, text in sides.items()}
    learning = [text.format(count) for text, count in counts.items() if count]
    if not failing and not learning:
        return ""
    parts = [f"of the rows that fail, {cells.listed(failing)}"] if failing else []
    parts += [f"of those that learn in both, {cells.listed(learning)}"] if learning else []
    text = f"Beside the paper: {'; '.join(parts)}."
    return (
        f"{text} These runs are not the paper's, so compare the order, not the figures: see the notes."
        if table.departures
        else text
    )
