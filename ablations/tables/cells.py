"""The cells of a table as text, the same in every format."""

import statistics

from ablations.runs.record import FAIL_PERCENT
from ablations.tables import interval
from ablations.tables.table import Line, Table
from ablations.tables.verdict import kendall_taus, verdict

NOT_RUN, NOT_READABLE = "not run", "not readable"

HEADER = (
    "row", "figure", "on shortcut", "on F", "paper", "ours", "IoU", "ours - paper", "mean ± std", "95 % interval", "n",
    "against its baseline", "verdict",
)  # fmt: skip

NUMERIC = ("paper", "ours", "IoU", "ours - paper", "mean ± std", "95 % interval", "n")

IOU_NOTE = (
    "The errors are of pixels. IoU, the higher the better: the pixels that are of a class and predicted as it, in percent of "
    "those that are either; of the foreground if there are two classes, else the mean over the classes. The median."
)


def cells(line: Line, table: Table) -> tuple[str, ...]:
    """The cells of a row, in the order of HEADER."""
    row = line.row
    if row.overrides is None and not row.tests:
        ours = "-"
    elif not line.n:
        ours = missing(line)
    elif line.median == float("inf"):
        ours = "diverged"
    else:
        ours = f"{line.median:.2f}" + (f"/{line.median_top5:.2f}" if line.median_top5 is not None else "")
        ours = f"fail ({ours})" if line.fails else ours
    iou = f"{line.median_iou:.2f}" if line.median_iou is not None else ""
    difference = ""
    if line.n and not line.fails and line.paper_error is not None:
        difference = f"{line.median - line.paper_error:+.2f}"
    within = f"{line.interval[0]:.2f} - {line.interval[1]:.2f}" if line.interval else ""
    return (
        row.name, row.figure, row.on_shortcut, row.on_residual, _paper(line), ours, iou, difference, _spread(line), within,
        str(line.n) if row.overrides is not None else "", _against(line, table), verdict(line, table),
    )  # fmt: skip


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def together(rows: list[str]) -> str:
    """Names of rows with common beginnings joined, such as conv1x1_relu_{0, -1}."""
    tails = {}
    for row in rows:
        head, line, tail = row.rpartition("_")
        tails.setdefault(head + line, []).append(tail)
    return ", ".join(
        f"{head}{{{', '.join(tails_of_head)}}}"
        if head and tails_of_head[1:]
        else ", ".join(map(head.__add__, tails_of_head))
        for head, tails_of_head in tails.items()
    )


def missing(line: Line) -> str:
    """What stands in place of the error of a row that has none."""
    return NOT_READABLE if line.unreadable else NOT_RUN


def _paper(line: Line) -> str:
    if line.paper is None:
        return "-"
    text = line.paper["value"]
    if line.paper.get("top5"):
        text += f"/{line.paper['top5']}"
    if line.paper.get("mean"):
        text += f" ({line.paper['mean']} ± {line.paper['std']})"
    return text


def _spread(line: Line) -> str:
    text = ""
    if len(line.finite) > 1:
        text = f"{statistics.mean(line.finite):.2f} ± {statistics.stdev(line.finite):.2f}"
    elif line.finite:
        text = f"{line.finite[0]:.2f}"
    if line.diverged:
        text += f" ({line.diverged} diverged)" if text else "all diverged"
    return text


def _against(line: Line, table: Table) -> str:
    comparison = table.comparison(line)
    if comparison is None:
        return ""
    text = f"{comparison.mean:+.2f}"
    if comparison.interval and comparison.p is not None:
        text += f" [{comparison.interval[0]:+.2f}, {comparison.interval[1]:+.2f}] p {p_in_words(comparison.p)}"
    pairs = len(comparison.differences)
    return text if pairs == line.n else f"{text} ({pairs} {'pair' if pairs == 1 else 'pairs'})"


def p_in_words(p: float) -> str:
    """With two digits, as 0.044, or as "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def used(table: Table) -> list[int]:
    """The indices of the columns that are not empty in every row."""
    rows = [cells(line, table) for line in table.lines]
    return [i for i in range(len(HEADER)) if any(row[i] for row in rows)]


def title(table: Table) -> str:
    study = table.study
    published = study.paper_table and study.paper_table.removeprefix("2015 ")[:5] == "Table"
    return f"{study.paper_table} ({study.name}): {study.question}" if published else f"{study.name}: {study.question}"


def notes(table: Table) -> list[str]:
    """The lines below a table."""
    lines = [
        f"Test error in percent, of the last evaluation; above {FAIL_PERCENT:g} % or diverged is a fail. Ours: the median."
    ]
    if any(line.median_top5 is not None for line in table.lines):
        lines.append("Ours where there are two: top-1/top-5, of one crop of each image; all else is of top-1.")
    if any(line.iou for line in table.lines):
        lines.append(IOU_NOTE)
    if table.study.paper_note:
        lines.append(f"The column paper: {table.study.paper_note}.")
    lines += [
        note for note in (_interval_note(table), _baseline_note(table), resolution(table), _disagreement(table)) if note
    ]
    if order := _order(table):
        lines.append(order)
    lines += [f"Left out: {error}." for error in table.unreadable]
    return lines + [note for note in (table.departures, table.arithmetic, table.provenance) if note]


def _order(table: Table) -> str:
    """How well the order of the rows is the paper's, in each group of rows by itself."""
    texts = [
        f"{f'of the {group.adjective} {group.noun} ' if group.name else ''}{tau:.2f} over {rows} rows"
        for group, tau, rows in kendall_taus(table)
    ]
    return f"Kendall's tau between the paper's order and ours: {'; '.join(texts)}." if texts else ""


def _interval_note(table: Table) -> str:
    with_interval = [line for line in table.lines if line.interval]
    kinds = []
    if any(line.n > 1 for line in with_interval):
        kinds.append("Student's t over seeds (the data set and its split are fixed), cut off at 0 and 100 %")
    if any(line.n == 1 for line in with_interval):
        kinds.append("for one seed exact binomial over test images, in which other seeds are not")
    return f"95 % interval: {'; '.join(kinds)}." if kinds else ""


def _baseline_note(table: Table) -> str:
    compared = [(line.row.baseline, comparison) for line in table.lines if (comparison := table.comparison(line))]
    if not compared:
        return ""
    names = list(dict.fromkeys(name for name, _ in compared))
    which = " or ".join(names) if len(names) < 5 else "the row of the same network or setting"
    note = f"The baseline of a row is {which}; the difference from it is a mean over equal seeds, in points"
    if any(comparison.interval for _, comparison in compared):
        tests = _tests(table)
        note += ", with Student's paired interval at 95 % and the p of the paired t-test"
        note += f", Holm-corrected for {tests} comparisons; a verdict needs p up to 0.05" if tests > 1 else ""
    return note + "."


def _tests(table: Table) -> int:
    """For how many comparisons with baselines the p-values are corrected."""
    compared = [comparison for line in table.lines if (comparison := table.comparison(line))]
    return sum(comparison.p is not None for comparison in compared)


def _disagreement(table: Table) -> str:
    """The rows of which some seeds fail and others do not, with exact intervals of the probability of a fail."""
    texts = []
    for line in table.lines:
        if 0 < line.failing < line.n:
            low, high = interval.proportion(line.failing, line.n)
            texts.append(f"{line.row.name} in {line.failing} of {line.n} ({low:.0f} to {high:.0f} %)")
    return (
        f"Seeds that fail, with the exact 95 % interval of how often others would: {'; '.join(texts)}." if texts else ""
    )


def resolution(table: Table) -> str:
    """The difference that so many seeds can resolve, given the spread of the rows that learn; "" if none learns or none
    spreads.
    """
    learn = [line for line in table.lines if line.n and not line.fails]
    learning = [line for line in learn if line.n > 1 and not line.diverged]
    if learn and all(line.n < 2 for line in table.lines):
        return "One seed a row: no difference between two rows that learn is resolved."
    if not learning:
        return ""
    n = min(line.n for line in learning)
    stds = sorted(statistics.stdev(line.finite) for line in learning)
    if not stds[-1]:
        return ""
    ends = [stds[0], stds[-1]] if len(stds) > 1 else stds
    spread = " to ".join(f"{std:.2f}" for std in ends)
    tests = _tests(table)
    differences = [interval.resolvable(std, n, max(tests, 1)) for std in ends]
    seen = " to ".join(dict.fromkeys(f"{found:.2f}" if found <= 100 else "more than 100" for found in differences))
    corrected = f", Holm-corrected for {tests} comparisons," if tests > 1 else " at 5 %"
    return (
        f"With {n} seeds and the spread of the rows that learn (std {spread}), the paired t-test{corrected} sees a "
        f"difference of {seen} points four times in five; smaller ones are seen more seldom."
    )
