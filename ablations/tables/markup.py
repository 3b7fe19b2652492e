"""A table as text for other programs: Markdown, CSV, LaTeX, HTML."""

import re
import statistics
from html import escape

from ablations.tables.cells import HEADER, NUMERIC, cells, missing, notes, title, used
from ablations.tables.table import Line, Table
from ablations.tables.verdict import verdict
from ablations.terminal import grid


def markdown(table: Table) -> str:
    columns = used(table)
    rows = [[HEADER[i] for i in columns], *([cells(line, table)[i] for i in columns] for line in table.lines)]
    below = [part for note in notes(table) for part in (note, "")][:-1]
    return "\n".join([f"**{title(table)}**", "", table.settings, "", *grid.markdown_grid(rows), "", *below]) + "\n"


def as_csv(table: Table) -> str:
    """One line for each row; the errors of its seeds are separated by spaces."""
    heading = (
        "study row paper median mean std interval_low interval_high interval n diverged errors baseline "
        "baseline_difference baseline_low baseline_high baseline_p pairs verdict settings"
    )
    return grid.as_csv(heading.split(), (_plain(line, table) for line in table.lines))


def _plain(line: Line, table: Table) -> list:
    comparison = table.comparison(line)
    return [
        table.study.name,
        line.row.name,
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
    """A `table` environment; the document needs \\usepackage{booktabs}. Columns that repeat the row's name are left out."""
    columns = [i for i in used(table) if HEADER[i] not in ("figure", "on shortcut", "on F")]
    align = "".join("r" if HEADER[i] in NUMERIC else "l" for i in columns)
    rows = [" & ".join(_latex(cells(line, table)[i]) for i in columns) + r" \\" for line in table.lines]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_latex(table.study.question)} {_latex(table.settings)}.}}",
            rf"\makebox[\textwidth]{{\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(_latex(HEADER[i]) for i in columns) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            "",
            r"\smallskip\raggedright",
            *(_latex(note) for note in notes(table)),
            r"\end{table}",
            "",
        ]
    )


def _latex(text: str) -> str:
    text = "".join(SPECIAL.get(character, character) for character in text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)  # minus signs


def html(table: Table) -> str:
    """A <table> with its title and notes, to be put into any page."""
    columns = used(table)

    def row(values, tag):
        texts = [f"<{tag}{' class=number' * (HEADER[i] in NUMERIC)}>{escape(values[i])}</{tag}>" for i in columns]
        return f"<tr>{''.join(texts)}</tr>"

    return "\n".join(
        [
            "<table>",
            f"<caption>{escape(title(table))}<br>{escape(table.settings)}</caption>",
            f"<thead>{row(HEADER, 'th')}</thead>",
            "<tbody>",
            *(row(cells(line, table), "td") for line in table.lines),
            "</tbody>",
            "</table>",
            *(f"<p>{escape(note)}</p>" for note in notes(table)),
            "",
        ]
    )
