"""A table as text for other programs: Markdown, CSV, LaTeX, HTML."""

import re
import statistics
from collections.abc import Sequence
from html import escape

from ablations.tables import columns
from ablations.tables.cells import HEADER, NUMERIC, cells, missing, notes, title, used
from ablations.tables.table import Line, Table
from ablations.tables.verdict import verdict
from ablations.terminal import grid


def markdown(table: Table) -> str:
    shown = used(table)
    rows = [[HEADER[i] for i in shown], *([cells(line, table)[i] for i in shown] for line in table.lines)]
    grids = [rows]
    if by_column := columns.of(table):
        grids.insert(0, [["", *map(": ".join, by_column.shown())], *by_column.texts()])
    below = [part for note in notes(table) for part in (note, "")][:-1]
    above = [line for rows in grids for line in (*grid.markdown_grid(rows), "")]
    return "\n".join([f"**{title(table)}**", "", table.settings, "", *above, *below]) + "\n"


def as_csv(table: Table) -> str:
    """One line for each row of the study, whether or not it is a cell of a table with columns; the errors of its seeds are separated by spaces."""
    heading = (
        "study row table_row table_column paper median mean std interval_low interval_high interval n diverged errors baseline "
        "baseline_difference baseline_low baseline_high baseline_p pairs verdict settings"
    )
    return grid.as_csv(heading.split(), (_plain(line, table) for line in table.lines))


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
    if by_column := columns.of(table):
        shown = by_column.shown()
        numeric = [part in columns.NUMERIC for _, part in shown]
        spans = [(name, len(by_column.parts[name])) for name in by_column.names]
        above = ["".join(rf" & \multicolumn{{{width}}}{{c}}{{{_latex(name)}}}" for name, width in spans) + r" \\"]
        first = [2 + sum(width for _, width in spans[:i]) for i in range(len(spans))]
        rules = [rf"\cmidrule(lr){{{a}-{a + width - 1}}}" for a, (_, width) in zip(first, spans, strict=True)]
        above.append("".join(rules))
        heading, rows = ["", *(part for _, part in shown)], by_column.texts()
    else:
        used_columns = [i for i in used(table) if HEADER[i] not in ("figure", "on shortcut", "on F")]
        numeric, above = [HEADER[i] in NUMERIC for i in used_columns[1:]], []
        heading = [HEADER[i] for i in used_columns]
        rows = [[cells(line, table)[i] for i in used_columns] for line in table.lines]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_latex(table.study.question)} {_latex(table.settings)}.}}",
            rf"\makebox[\textwidth]{{\begin{{tabular}}{{l{''.join('lr'[is_number] for is_number in numeric)}}}",
            r"\toprule",
            *above,
            _latex_row(heading),
            r"\midrule",
            *map(_latex_row, rows),
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
    shown = used(table)
    heading = [(HEADER[i], HEADER[i] in NUMERIC) for i in shown]
    grids = [([], heading, [[cells(line, table)[i] for i in shown] for line in table.lines])]
    if by_column := columns.of(table):
        spans = [("", 1), *((name, len(by_column.parts[name])) for name in by_column.names)]
        parts = [("", False), *((part, part in columns.NUMERIC) for _, part in by_column.shown())]
        grids.insert(0, (spans, parts, by_column.texts()))
    caption = f"<caption>{escape(title(table))}<br>{escape(table.settings)}</caption>"
    lines = []
    for i, (above, heading, rows) in enumerate(grids):
        lines += ["<table>", *([] if i else [caption]), "<thead>"]
        if above:
            lines.append(f"<tr>{''.join(f'<th colspan={width}>{escape(name)}</th>' for name, width in above)}</tr>")
        lines += [_html_row([name for name, _ in heading], heading, "th"), "</thead>", "<tbody>"]
        lines += [*(_html_row(row, heading, "td") for row in rows), "</tbody>", "</table>"]
    return "\n".join([*lines, *(f"<p>{escape(note)}</p>" for note in notes(table)), ""])


def _html_row(texts: Sequence[str], heading: Sequence[tuple[str, bool]], tag: str) -> str:
    described = zip(texts, heading, strict=True)
    row = [f"<{tag}{' class=number' * is_number}>{escape(text)}</{tag}>" for text, (_, is_number) in described]
    return f"<tr>{''.join(row)}</tr>"
