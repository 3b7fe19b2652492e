"""A study's table on a terminal."""

from collections.abc import Sequence

from ablations.tables import columns
from ablations.tables.cells import HEADER, NUMERIC, cells, notes, title, used
from ablations.tables.table import Line, Table
from ablations.terminal.grid import add_names, console

# What a narrow screen leaves out, the first one first; the other formats have everything.
SPARED = ("figure", "on F", "mean ± std", "ours - paper", "95 % interval", "on shortcut", "against its baseline")

SPARED_PARTS = ("ours - paper", "mean ± std (n)", "verdict")


def show(table: Table) -> None:
    """Print to the terminal: with columns if the study has them and the screen is wide enough; then rows without a cell."""
    from rich.measure import measure_renderables

    screen = console(220)

    def fits(grid) -> bool:
        return measure_renderables(screen, screen.options.update(width=10_000), [grid]).maximum <= screen.width

    screen.print(title(table), style="bold", highlight=False)
    screen.print(table.settings + "\n", highlight=False)
    lines, left_out = list(table.lines), []
    if by_column := columns.of(table):
        grid, without = _fitting(lambda left_out: _by_column(by_column, left_out), SPARED_PARTS, fits)
        if fits(grid):
            lines, left_out = [line for line in lines if not line.row.cell], without
            screen.print(grid, "")
    if lines:
        grid, without = _fitting(lambda left_out: _by_row(table, lines, left_out), SPARED, fits)
        left_out = list(dict.fromkeys([*left_out, *without]))
        screen.print(grid, "")
    if by_column and (sentence := columns.reading(by_column)):
        screen.print(sentence + "\n", style="bold", highlight=False)
    for note in notes(table):
        screen.print(note, highlight=False)
    if left_out:
        screen.print(f"Left out on so narrow a screen: {', '.join(left_out)}; format=markdown has them.", style="dim")


def _fitting(grid, spared: Sequence[str], fits) -> tuple:
    """The first that fits of the grids that leave out more and more, else the last; and what it leaves out.

    grid: what is left out -> a grid, or None if the next thing to be left out is not in the table.
    """
    left_out: list[str] = []
    made = grid(left_out)
    for name in spared:
        if fits(made):
            break
        smaller = grid([*left_out, name])
        if smaller.columns != made.columns:
            made, left_out = smaller, [*left_out, name]
    return made, left_out


def _by_row(table: Table, lines: Sequence[Line], left_out: Sequence[str]):
    grid = _grid()
    shown = [i for i in used(table) if HEADER[i] not in left_out]
    add_names(grid, HEADER[0], [line.row.name for line in lines])
    for i in shown[1:]:
        number = HEADER[i] in NUMERIC
        grid.add_column(HEADER[i], justify="right" if number else "left", no_wrap=number)
    for line in lines:
        text = cells(line, table)
        style = "dim" if not line.n else "yellow" if text[-1].startswith("differs") else None
        grid.add_row(*(text[i] for i in shown), style=style)
    return grid


def _by_column(by_column: columns.Columns, left_out: Sequence[str]):
    grid, before = _grid(), ""
    grid.add_column("", no_wrap=True)
    for name, part in by_column.shown(left_out):
        # The column's name stands above the first of its parts.
        heading = f"{name if name != before else ''}\n{part}"
        grid.add_column(heading, justify="right" if part in columns.NUMERIC else "left", no_wrap=True)
        before = name
    for texts in by_column.texts(left_out):
        grid.add_row(*texts)
    return grid


def _grid():
    from rich.table import Table as Grid

    return Grid(box=None, header_style="bold", pad_edge=False)
