"""How a table looks: on a terminal, in Markdown, as CSV. `ablations table` is here."""

import csv
import io
import statistics
import sys
from pathlib import Path

from ablations import study as studies
from ablations.errors import UserError
from ablations.records import FAIL_PERCENT, read_records, write_whole
from ablations.table import Line, Table, kendall_tau, make, select, verdict

FORMATS = ("terminal", "markdown", "csv")
NOT_RUN = "not run"
HEADER = ("row", "figure", "on shortcut", "on F", "paper", "median", "mean ± std", "n", "verdict")


def command(arguments: list[str]) -> int:
    """`ablations table`: print or write a table."""
    settings = _settings(arguments)
    name, form = settings.pop("study", None), settings.pop("format", "terminal")
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), settings.pop("out", None)
    if name is None:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    if form not in FORMATS:
        raise UserError(f"format={form}: legal are {', '.join(FORMATS)}")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={name} makes runs")
    study = studies.load(name)
    table = make(study, select(read_records(runs_dir, study.name), settings))
    if form == "terminal" and not out:
        show(table)
        return 0
    text = markdown(table) if form == "markdown" or (form == "terminal" and out) else as_csv(table)
    if not out:
        print(text, end="")
        return 0
    try:
        write_whole(Path(out), text)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}")
    return 0


def _settings(arguments: list[str]) -> dict[str, str]:
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument}: settings are key=value; see ablations table --help")
    return dict(argument.split("=", 1) for argument in arguments)


def cells(line: Line, table: Table) -> tuple[str, ...]:
    """What a row prints, in the order of HEADER."""
    row = line.row
    paper = line.paper or "-"
    if not line.n:
        return row.name, row.figure, row.on_shortcut, row.on_residual, paper, NOT_RUN, "", "0", ""
    median = "diverged" if line.median == float("inf") else f"{line.median:.2f}"
    if line.fails and line.median != float("inf"):
        median = f"fail ({median})"
    finite = line.errors[: line.n - line.diverged]
    spread = ""
    if len(finite) > 1:
        spread = f"{statistics.mean(finite):.2f} ± {statistics.stdev(finite):.2f}"
    elif finite:
        spread = f"{finite[0]:.2f}"
    if line.diverged:
        spread += f" ({line.diverged} diverged)" if spread else "all diverged"
    return (
        row.name, row.figure, row.on_shortcut, row.on_residual, paper, median, spread, str(line.n),
        verdict(line, table),
    )  # fmt: skip


def title(table: Table) -> str:
    return f"{table.study.paper_table} ({table.study.name}): {table.study.question}"


def notes(table: Table) -> list[str]:
    """What stands below a table."""
    tau, rows = kendall_tau(table)
    lines = [
        f"Test error in percent, of the last evaluation; above {FAIL_PERCENT:g} % or diverged is a fail.",
        "The paper's column is CIFAR-10, 64,000 steps, the median of 5 runs.",
    ]
    if tau is not None:
        lines.append(f"Kendall's tau between the paper's order and ours: {tau:.2f} over {rows} rows.")
    lines += [note for note in (table.departures, table.provenance) if note]
    return lines


def console(least: int = 132):
    """Where a table is printed; `least` columns wide where no terminal gives the width."""
    import shutil

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else max(shutil.get_terminal_size((132, 24)).columns, least))


def show(table: Table) -> None:
    """Print to the terminal."""
    from rich.table import Table as Grid

    screen = console()
    screen.print(title(table), style="bold", highlight=False)
    screen.print(table.settings + "\n", highlight=False)
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    used = _used(table)
    for i in used:
        grid.add_column(HEADER[i], justify="right" if HEADER[i] in ("paper", "median", "n") else "left", no_wrap=i < 1)
    for line in table.lines:
        text = cells(line, table)
        style = "dim" if not line.n else "yellow" if text[-1].startswith("differs") else None
        grid.add_row(*(text[i] for i in used), style=style)
    screen.print(grid)
    screen.print()
    for note in notes(table):
        screen.print(note, highlight=False)


def _used(table: Table) -> list[int]:
    rows = [cells(line, table) for line in table.lines]
    return [i for i in range(len(HEADER)) if any(row[i] for row in rows)]


def markdown(table: Table) -> str:
    used = _used(table)
    rows = [[HEADER[i] for i in used], *([cells(line, table)[i] for i in used] for line in table.lines)]
    text = markdown_grid(rows)
    return "\n".join([f"**{title(table)}**", "", table.settings, "", *text, "", *_paragraphs(notes(table))]) + "\n"


def markdown_grid(rows: list[list[str]]) -> list[str]:
    """The lines of a table in Markdown; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _paragraphs(lines: list[str]) -> list[str]:
    return [part for line in lines for part in (line, "")][:-1]


def as_csv(table: Table) -> str:
    """One line a row; errors of the seeds separated by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("study", "row", "paper", "median", "mean", "std", "n", "diverged", "errors", "verdict", "settings")
    writer.writerow(names)
    for line in table.lines:
        finite = line.errors[: line.n - line.diverged]
        writer.writerow(
            [
                table.study.name,
                line.row.name,
                line.paper or "",
                NOT_RUN if not line.n else f"{line.median:.4f}",
                f"{statistics.mean(finite):.4f}" if finite else "",
                f"{statistics.stdev(finite):.4f}" if len(finite) > 1 else "",
                line.n,
                line.diverged,
                " ".join(f"{error:.4f}" for error in finite),
                verdict(line, table) if line.n else "",
                table.settings,
            ]
        )
    return out.getvalue()
