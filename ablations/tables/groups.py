"""The rows of a table that belong together, such as those of one depth: they have the same baseline."""

import re
from dataclasses import dataclass
from functools import cached_property

from ablations.tables.table import Line, Table


@dataclass(frozen=True)
class Group:
    """Rows that have runs and the same baseline.

    name: what they have in common; "" if they are all rows of the table. noun: of what it is the name.
    part: which part of a row's cell tells them apart; None if only the names of the rows do.
    """

    name: str
    lines: tuple[Line, ...]
    part: int | None = None
    noun: str = "networks"

    def called(self, line: Line) -> str:
        return line.row.name if self.part is None else line.row.cell[self.part]

    def spoken(self, line: Line) -> str:
        return spoken(self.called(line))

    @cached_property
    def ordered(self) -> list[Line]:
        """The best first."""
        return sorted(self.lines, key=lambda line: line.median)

    @cached_property
    def learning(self) -> list[Line]:
        return [line for line in self.ordered if not line.fails]

    @property
    def adjective(self) -> str:
        """The name before the noun: 110-layer."""
        return re.sub(r"^(?:resnet(\d+)|(\d+) layers)$", lambda found: f"{found[1] or found[2]}-layer", self.name)

    @property
    def depth(self) -> int | None:
        found = re.search(r"resnet(\d+)|^(\d+) layers$", self.name)
        return int(found[1] or found[2]) if found else None


def spoken(name: str) -> str:
    """A row's name within a sentence: `none` has quotes, since "none fails" would say the opposite."""
    return f'"{name}"' if name == "none" else name


def groups(table: Table) -> list[Group]:
    """The rows that have runs, grouped by their baseline or, if that is compared with another row, by that one's.

    Rows of which one is chosen belong together, too; rows of different data sets never do.
    """
    by_baseline: dict[tuple[str, str], list[Line]] = {}
    chosen_from = {name: f"best of {row.name}" for row in table.study.rows for name in row.best_of}
    for line in table.lines:
        if line.n and not line.row.tests:
            root = _root(table, line)
            by_baseline.setdefault((chosen_from.get(root, root), line.row.data), []).append(line)
    if len(by_baseline) == 1:
        return [Group("", tuple(lines)) for lines in by_baseline.values()]
    roots = [root for root, _ in by_baseline]
    return [
        Group(data, tuple(lines)) if roots.count(root) > 1 else _named(root, lines)
        for (root, data), lines in by_baseline.items()
    ]


def _root(table: Table, line: Line) -> str:
    seen = [line.row.name]
    while (above := table.line(seen[-1])) and above.row.baseline and above.row.baseline not in seen:
        seen.append(above.row.baseline)
    return seen[-1]


def _named(baseline: str, lines: list[Line]) -> Group:
    for part in (1, 0):
        names = {line.row.cell[part] if line.row.cell else None for line in lines}
        if len(names) == 1 and (name := names.pop()) is not None:
            return Group(name, tuple(lines), 1 - part)
    words = [line.row.name.split("_") for line in lines]
    common = [same[0] for same in zip(*words, strict=False) if len(set(same)) == 1] if len(lines) > 1 else []
    return Group("_".join(common), tuple(lines)) if common else Group(baseline, tuple(lines), noun="group")
