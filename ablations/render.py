"""`ablations table`: a study's table on a terminal, or as a file of another format."""

import sys
from pathlib import Path

from ablations import logger, markup
from ablations import study as studies
from ablations.cells import HEADER, NUMERIC, cells, notes, title, used
from ablations.errors import UserError
from ablations.grid import console
from ablations.records import give_out, read_records
from ablations.table import Table, make, select

FORMATS = {"markdown": markup.markdown, "csv": markup.as_csv, "latex": markup.latex, "html": markup.html}
# What a screen that is too narrow does without, in this order; the other formats have it all.
SPARED = ("figure", "on F", "mean ± std", "ours - paper", "95 % interval", "on shortcut", "against its baseline")


def command(arguments: list[str]) -> int:
    """`ablations table`: print or write a table."""
    settings = key_values(arguments, "table")
    name, form = settings.pop("study", None), settings.pop("format", None)
    to = logger.take(settings)
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), settings.pop("out", None)
    if name is None:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    if form not in (None, "terminal", *FORMATS):
        raise UserError(f"format={form}: legal are terminal, {', '.join(FORMATS)}")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={name} makes runs")
    study = studies.load(name)
    records = select(read_records(runs_dir, study.name), settings)
    table = make(study, records)
    _print(table, form, out)
    if logger.is_on(to):
        from ablations.wandb_run import publish

        print(f"{to.name}: {publish(to, table, records, runs_dir, settings)}", file=sys.stderr)
    return 0


def _print(table: Table, form: str | None, out: str | None) -> None:
    if form in (None, "terminal") and not out:
        show(table)
        return
    give_out(FORMATS["markdown" if form in (None, "terminal") else form](table), out)


def key_values(arguments: list[str], command: str) -> dict[str, str]:
    """Raises UserError where an argument is not key=value."""
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument}: settings are key=value; see ablations {command} --help")
    return dict(argument.split("=", 1) for argument in arguments)


def show(table: Table) -> None:
    """Print to the terminal."""
    from rich.measure import measure_renderables
    from rich.table import Table as Grid

    screen = console(220)

    def grid(columns):
        grid = Grid(box=None, header_style="bold", pad_edge=False)
        for i in columns:
            grid.add_column(HEADER[i], justify="right" if HEADER[i] in NUMERIC else "left", no_wrap=i < 1)
        for line in table.lines:
            text = cells(line, table)
            style = "dim" if not line.n else "yellow" if text[-1].startswith("differs") else None
            grid.add_row(*(text[i] for i in columns), style=style)
        return grid

    columns, left_out = used(table), []
    for name in SPARED:
        if measure_renderables(screen, screen.options.update(width=10_000), [grid(columns)]).maximum <= screen.width:
            break
        if HEADER.index(name) in columns:
            columns.remove(HEADER.index(name))
            left_out.append(name)
    screen.print(title(table), style="bold", highlight=False)
    screen.print(table.settings + "\n", highlight=False)
    screen.print(grid(columns))
    screen.print()
    for note in notes(table):
        screen.print(note, highlight=False)
    if left_out:
        screen.print(f"Left out on so narrow a screen: {', '.join(left_out)}; format=markdown has them.", style="dim")
