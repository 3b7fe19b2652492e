"""What a table says, in sentences for somebody who has not read the paper; every number is computed from the runs."""

from ablations.cells import resolution
from ablations.records import FAIL_PERCENT
from ablations.table import Line, Table
from ablations.verdict import verdict


def answer(table: Table) -> list[str]:
    """First which row is best and how sure that is, then what else the rows say."""
    run = [line for line in table.lines if line.n]
    if not run:
        return ["Nothing of this study has been run yet."]
    ordered = sorted(run, key=lambda line: line.median)
    learning = [line for line in ordered if not line.fails]
    sentences = [_best(ordered, learning)]
    if len(ordered) > 1 and learning:
        sentences += [_next(ordered, learning), _sure(ordered)]
    sentences += [_fails(ordered, learning), _against_baselines(table), resolution(table), _paper(table)]
    return [sentence for sentence in sentences if sentence]


def _best(ordered: list[Line], learning: list[Line]) -> str:
    best = ordered[0]
    if best.median == float("inf"):
        return f"No row learns: {_all(ordered)} without an error, for their losses diverged."
    if not learning:
        return f"No row learns: {_all(ordered)} above {FAIL_PERCENT:g} %. The lowest is {best.row.name}, with {_error(best)}."
    if len(ordered) == 1:
        return f"Only {best.row.name} is run: {_error(best)}."
    ties = [line.row.name for line in ordered if line.median == best.median]
    return f"{'Best is' if len(ties) == 1 else 'Best are'} {_list(ties)}, with {_error(best)}."


def _all(lines: list[Line]) -> str:
    return "the only row ends" if len(lines) == 1 else f"all {len(lines)} rows end"


def _error(line: Line) -> str:
    """The median and what it is a median of."""
    if line.n == 1:
        return f"{line.median:.2f} % test error (one seed)"
    spread = f"from {min(line.finite):.2f} to {max(line.finite):.2f} %" if not line.diverged else "some diverged"
    return f"{line.median:.2f} % test error (the median of {line.n} seeds, {spread})"


def _next(ordered: list[Line], learning: list[Line]) -> str:
    """The runner-up, and whether the seeds tell it from the best."""
    best = learning[0]
    behind = [line for line in learning if line.median > best.median]
    if not behind:
        others = len(ordered) - len(learning)
        return "It is the only row that learns." if len(learning) == 1 and others else ""
    second = behind[0]
    text = f"Next is {second.row.name}, with {_error(second)}."
    comparison = second.against(best)
    if comparison is None or comparison.interval is None:
        return f"{text} Without two seeds that both have, nobody can say how much of the difference is chance."
    low, high = comparison.interval
    difference = f"{comparison.mean:+.2f} points on average, 95 % interval {low:+.2f} to {high:+.2f}"
    if comparison.resolved:
        return f"{text} Seed by seed it differs from the best by {difference}: more than chance explains."
    return (
        f"{text} Seed by seed it differs from the best by {difference}. That interval holds 0: "
        f"{len(comparison.differences)} seeds cannot tell the two apart."
    )


def _sure(ordered: list[Line]) -> str:
    """How many rows the best one is told apart from."""
    best, others = ordered[0], ordered[1:]
    compared = [(line.row.name, line.against(best)) for line in others]
    compared = [(name, comparison) for name, comparison in compared if comparison and comparison.interval]
    if len(compared) < 2:
        return ""
    unsure = [name for name, comparison in compared if not comparison.resolved]
    sure = f"{len(compared) - len(unsure)} of the {len(compared)} other rows"
    text = f"{best.row.name} is better than {sure} by more than chance explains"
    return f"{text}; not, on these seeds, than {_list(unsure)}." if unsure else f"{text}."


def _fails(ordered: list[Line], learning: list[Line]) -> str:
    failing = [line.row.name for line in ordered if line.fails]
    if not failing or not learning:
        return ""
    return f"{len(failing)} of {len(ordered)} rows fail, which is to end above {FAIL_PERCENT:g} %: {_list(failing)}."


def _against_baselines(table: Table) -> str:
    """For tables in which rows have several baselines, as networks of several depths."""
    if len({line.row.baseline for line in table.lines if line.row.baseline}) < 2:
        return ""
    said = {"better than": [], "worse than": [], "not told apart from": []}
    for line in table.lines:
        comparison = table.comparison(line)
        if comparison is not None:
            sure = "worse than" if comparison.mean > 0 else "better than"
            said[sure if comparison.resolved else "not told apart from"].append(line.row.name)
    parts = [f"{how} it {'is' if len(names) == 1 else 'are'} {_list(names)}" for how, names in said.items() if names]
    return f"Each row against its baseline, by paired intervals at 95 %: {'; '.join(parts)}." if parts else ""


def _paper(table: Table) -> str:
    """How many rows agree with the paper's."""
    verdicts = [verdict(line, table) for line in table.lines]
    counts = {
        "agree with it on": sum(text.startswith("agrees") for text in verdicts),
        "differ on": sum(text.startswith("differs") for text in verdicts),
        "cannot say, for want of seeds, on": sum(text.startswith("not resolved") for text in verdicts),
    }
    total = sum(counts.values())
    if not total:
        return ""
    parts = [f"{what} {count}" for what, count in counts.items() if count]
    text = f"The paper has a result for {total} of these rows; ours {_list(parts)}."
    return f"{text} These runs are shorter or otherwise not the paper's: see the notes." if table.departures else text


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
