"""A small table of texts, and how it looks on a terminal and in Markdown."""

import statistics
import sys
from dataclasses import dataclass

NONE = "-"


@dataclass(frozen=True)
class Grid:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]


def show(made: Grid) -> None:
    """Print to the terminal."""
    import shutil

    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else max(shutil.get_terminal_size((132, 24)).columns, 132))
    console.print(made.title + "\n", style="bold", highlight=False)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(made.header):
        grid.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in made.rows:
        grid.add_row(*row)
    console.print(grid)
    console.print()
    for note in made.notes:
        console.print(note, highlight=False)


def markdown(made: Grid) -> str:
    text = ["| " + " | ".join(row) + " |" for row in (made.header, *made.rows)]
    text.insert(1, "|" + "|".join(" --- " for _ in made.header) + "|")
    notes = [part for note in made.notes for part in (note, "")][:-1]
    return "\n".join([f"**{made.title}**", "", *text, "", *notes]) + "\n"


def short(value) -> str:
    """Three digits."""
    return NONE if value is None else f"{value:.3g}"


def spread(errors) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(errors):.2f} ({min(errors):.2f} to {max(errors):.2f})" if errors else NONE


def middle(values: list | None) -> str:
    values = [value for value in values or () if value is not None]
    return short(statistics.median(values)) if values else NONE
