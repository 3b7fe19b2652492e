"""A study's table with columns, such as one for each depth: each cell is a row of the study, with its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ablations.tables import cells
from ablations.tables.groups import spoken
from ablations.tables.table import Line, Table

PARTS = ("paper", "ours", "IoU", "ours - paper", "mean ± std (n)", "verdict")

NUMERIC = PARTS[:5]


@dataclass(frozen=True)
class Columns:
    """rows: by the name of a row of this table, its cells by the name of their column."""

    table: Table
    rows: dict[str, dict[str, Line]]

    @cached_property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """What is printed of each column: that which is not empty in all its rows."""
        return {
            name: [
                part
                for part in PARTS
                if any(row.get(name, {}).get(part, "-") not in ("", "-") for row in self._texts.values())
            ]
            for name in self.names
        }

    def shown(self, without: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Each column's name with each of its parts, except some, in the order in which they are printed."""
        return [(name, part) for name in self.names for part in self.parts[name] if part not in without]

    def texts(self, without: Sequence[str] = ()) -> list[list[str]]:
        """What is printed of each row: its name, then what `shown` says."""
        shown = self.shown(without)
        return [
            [row, *(cells.get(name, {}).get(part, "") for name, part in shown)] for row, cells in self._texts.items()
        ]

    @cached_property
    def _texts(self) -> dict[str, dict[str, dict[str, str]]]:
        """Of each row, by column: each part as text."""
        return {
            row: {name: _parts(line, self.table) for name, line in lines.items()} for row, lines in self.rows.items()
        }


def _parts(line: Line, table: Table) -> dict[str, str]:
    texts: dict[str, str] = dict(zip(cells.HEADER, cells.cells(line, table), strict=True))
    texts["mean ± std (n)"] = f"{texts['mean ± std']} ({line.n})" if line.n else ""
    # The columns show which row is the baseline, and the parts how many seeds there are.
    texts["verdict"] = texts["verdict"].partition(" than ")[0].partition(" by ")[0]
    return texts


def of(table: Table) -> Columns | None:
    """The table with columns; None if the study has none."""
    rows: dict[str, dict[str, Line]] = {}
    for line in table.lines:
        if line.row.cell:
            row, column = line.row.cell
            rows.setdefault(row, {})[column] = line
    return Columns(table, rows) if rows else None


def reading(columns: Columns) -> str:
    """What the columns say, in one sentence: which rows learn in each; "" if nothing has been run."""
    texts = [text for name in columns.names if (text := _learning(columns, name))]
    return f"{'; '.join(texts)}." if texts else ""


def _learning(columns: Columns, name: str) -> str:
    run = {row: line for row, cells in columns.rows.items() if (line := cells.get(name)) and line.n}
    learning, failing = ([spoken(row) for row, line in run.items() if line.fails == fails] for fails in (False, True))
    if not run:
        return ""
    if not failing:
        return f"{name}: all {len(run)} learn"
    if not learning:
        return f"{name}: none of {len(run)} learns"
    count = f"{name}: {len(learning)} of {len(run)} {'learns' if len(learning) == 1 else 'learn'}"
    few = len(learning) <= len(failing)
    return f"{count}: {cells.listed(learning)}" if few else f"{count}, all but {cells.listed(failing)}"
