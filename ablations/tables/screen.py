"""A study's table on a terminal."""

from ablations.tables.cells import HEADER, NUMERIC, cells, notes, title, used
from ablations.tables.table import Table
from ablations.terminal.grid import console

# Columns that a narrow screen leaves out, the first one first; the other formats have them all.
SPARED = ("figure", "on F", "mean ± std", "ours - paper", "95 % interval", "on shortcut", "against its baseline")


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
