"""A table as text for other programs: Markdown, CSV, LaTeX, HTML."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from ablations.tables import columns
from ablations.tables.cells import HEADER, NUMERIC, cells, missing, notes, title, used
from ablations.tables.table import Line, Table
from ablations.tables.verdict import verdict
from ablations.terminal import grid


@dataclass(frozen=True)
class Grid:
    """A table as texts. spans: what stands above the heading, and over how many columns. heading: (name, is a number)."""

    spans: list[tuple[str, int]]
    heading: list[tuple[str, bool]]
    rows: list[list[str]]


def _by_row(table: Table, without: Sequence[str] = ()) -> Grid:
    shown = [i for i in used(table) if HEADER[i] not in without]
    rows = [[cells(line, table)[i] for i in shown] for line in table.lines]
    return Grid([], [(HEADER[i], HEADER[i] in NUMERIC) for i in shown], rows)


def _by_column(by_column: columns.Columns) -> Grid:
    spans = [("", 1), *((name, len(by_column.parts[name])) for name in by_column.names)]
    heading = [("", False), *((part, part in columns.NUMERIC) for _, part in by_column.shown())]
    return Grid(spans, heading, by_column.texts())


def _grids(table: Table) -> list[Grid]:
    """The table with columns, if the study has them, and the table with a line for each row of the study."""
    by_column = columns.of(table)
    return [*([_by_column(by_column)] if by_column else []), _by_row(table)]


def markdown(table: Table) -> str:
    above = []
    for made in _grids(table):
        over = [name for name, width in made.spans for _ in range(width)] or [""] * len(made.heading)
        heading = [f"{name}: {part}" if name else part for name, (part, _) in zip(over, made.heading, strict=True)]
        above += [*grid.markdown_grid([heading, *made.rows]), ""]
    below = [part for note in notes(table) for part in (note, "")][:-1]
    return "\n".join([f"**{title(table)}**", "", table.settings, "", *above, *below]) + "\n"


def as_csv(table: Table) -> str:
    """One line for each row of the study, whether or not it is a cell of a table with columns; the errors of its seeds are separated by spaces."""
    heading = (
        "study row table_row table_column paper median mean std interval_low interval_high interval n diverged errors baseline "
        "baseline_difference baseline_low baseline_high baseline_p pairs verdict settings"
    )
    lines = [_plain(line, table) for line in table.lines]
    if any(line.iou for line in table.lines):
        heading += " iou_median ious"
        lines = [[*plain, *_more(line.iou, line.median_iou)] for plain, line in zip(lines, table.lines, strict=True)]
    if any(line.top5 for line in table.lines):
        heading += " paper_top5 top5_median top5_errors"
        papers = [(line.paper or {}).get("top5") or "" for line in table.lines]
        more = [_more(line.top5, line.median_top5) for line in table.lines]
        lines = [[*plain, paper, *ours] for plain, paper, ours in zip(lines, papers, more, strict=True)]
    return grid.as_csv(heading.split(), lines)


def _more(figures: dict[int, float | None], median: float | None) -> tuple[str, str]:
    """The median of other figures than the error, and those of the seeds that did not diverge."""
    known = [value for value in figures.values() if value is not None]
    return "" if median is None else _number(median), " ".join(map(_number, known))


def _plain(line: Line, table: Table) -> list:
    comparison = table.comparison(line)
    return [
        table.study.name,
        line.row.name,
        *(line.row.cell or ("", "")),
        line.paper["value"] if line.paper else "",
        _number(line.median) if line.n else missing(line) if line.row.overrides is not None else "",
        _number(statistics.mean(line.finite)) if line.finite else "",
        _number(statistics.stdev(line.finite)) if len(line.finite) > 1 else "",
        *([*map(_number, line.interval), "binomial" if line.n == 1 else "student"] if line.interval else [""] * 3),
        line.n,
        line.diverged,
        " ".join(map(_number, line.finite)),
        line.row.baseline,
        _number(comparison.mean) if comparison else "",
        *(map(_number, comparison.interval) if comparison and comparison.interval else ["", ""]),
        f"{comparison.p:.4g}" if comparison and comparison.p is not None else "",
        len(comparison.differences) if comparison else "",
        verdict(line, table),
        f"{table.settings}. {table.arithmetic}" if table.arithmetic else table.settings,
    ]


def _number(value: float) -> str:
    return f"{value:.4f}"


# Characters that LaTeX does not print as they are.
SPECIAL = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}

SPECIAL |= {"±": r"$\pm$", "<": "$<$", ">": "$>$"}


def latex(table: Table) -> str:
    """A `table` environment; the document needs \\usepackage{booktabs}. Columns that repeat the row's name are left out.

    A table with columns is laid out as the paper's Tables 2 and 3, each column's name above its parts.
    """
    by_column, above = columns.of(table), []
    made = _by_column(by_column) if by_column else _by_row(table, without=("figure", "on shortcut", "on F"))
    if made.spans:
        last = list(accumulate(width for _, width in made.spans))
        spans = [(name, width, end) for (name, width), end in zip(made.spans, last, strict=True) if name]
        above.append(
            "".join(rf" & \multicolumn{{{width}}}{{c}}{{{_latex(name)}}}" for name, width, _ in spans) + r" \\"
        )
        above.append("".join(rf"\cmidrule(lr){{{end - width + 1}-{end}}}" for _, width, end in spans))
    align = "".join("lr"[is_number] for _, is_number in made.heading)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_latex(table.study.question)} {_latex(table.settings)}.}}",
            rf"\makebox[\textwidth]{{\begin{{tabular}}{{{align}}}",
            r"\toprule",
            *above,
            _latex_row([name for name, _ in made.heading]),
            r"\midrule",
            *map(_latex_row, made.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            "",
            r"\smallskip\raggedright",
            *(_latex(note) for note in notes(table)),
            r"\end{table}",
            "",
        ]
    )


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(map(_latex, texts)) + r" \\"


def _latex(text: str) -> str:
    text = "".join(SPECIAL.get(character, character) for character in text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)  # minus signs


def html(table: Table) -> str:
    """A <table> with its title and notes, to be put into any page. A table with columns is followed by its cells as rows."""
    caption = f"<caption>{escape(title(table))}<br>{escape(table.settings)}</caption>"
    lines = []
    for i, made in enumerate(_grids(table)):
        lines += ["<table>", *([] if i else [caption]), "<thead>"]
        if made.spans:
            lines.append(
                f"<tr>{''.join(f'<th colspan={width}>{escape(name)}</th>' for name, width in made.spans)}</tr>"
            )
        lines += [_html_row([name for name, _ in made.heading], made.heading, "th"), "</thead>", "<tbody>"]
        lines += [*(_html_row(row, made.heading, "td") for row in made.rows), "</tbody>", "</table>"]
    return "\n".join([*lines, *(f"<p>{escape(note)}</p>" for note in notes(table)), ""])


def _html_row(texts: Sequence[str], heading: Sequence[tuple[str, bool]], tag: str) -> str:
    described = zip(texts, heading, strict=True)
    row = [f"<{tag}{' class=number' * is_number}>{escape(text)}</{tag}>" for text, (_, is_number) in described]
    return f"<tr>{''.join(row)}</tr>"


WRITERS = {"markdown": markdown, "csv": as_csv, "latex": latex, "html": html}
