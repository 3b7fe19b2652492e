"""A grid of cells on a terminal or in Markdown, with a title and notes below it, or as CSV."""

import csv
import io
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

LONGEST_NAME = 32  # characters that stand in one line


def console(usual: int = 132):
    """The console for a table; without a terminal, `usual` columns wide."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self):
            raise  # rich would exit with 1, which is for a command that failed

    return Screen(width=None if sys.stdout.isatty() else max(shutil.get_terminal_size((usual, 24)).columns, 132))


def show(title: str, rows: Sequence[Mapping[str, "str | Text"]], right: tuple[str, ...], notes: list[str]) -> None:
    """Print to the terminal.

    rows: heading -> cell, a string or rich's Text. right: the headings of columns that are aligned to the right.
    """
    from rich.table import Table

    screen = console(200)
    screen.print(title + "\n", style="bold", highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(rows[0]):
        if i == 0:
            add_names(table, name, [str(row[name]) for row in rows])
        else:
            table.add_column(name, justify="right" if name in right else "left", no_wrap=name in right)
    for row in rows:
        table.add_row(*row.values())
    screen.print(table)
    screen.print()
    for note in notes:
        screen.print(note, highlight=False)


def add_names(table: "Table", heading: str, names: Iterable[str]) -> None:
    """The first column. Names that are long go on in a second line, if else figures would be pushed off the screen."""
    longest = max(map(len, names), default=0)
    table.add_column(heading, no_wrap=longest <= LONGEST_NAME, overflow="fold", min_width=min(longest, LONGEST_NAME))


def markdown(title: str, rows: Sequence[Mapping[str, "str | Text"]], notes: list[str]) -> str:
    grid = markdown_grid([list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)])
    return "\n\n".join([f"**{title}**", "\n".join(grid), *notes]) + "\n"


def markdown_grid(rows: list[list[str]]) -> list[str]:
    """The lines of a grid; the first row is the heading."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def as_csv(heading: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Comma-separated values; None becomes an empty cell."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([heading, *rows])
    return out.getvalue()
