"""The rows that learn, each compared with each of its group: which one turns out best is not known beforehand.

A sentence about the best row and the second has chosen both by the errors that it compares. So the p-values are corrected
for all comparisons that it might have made (Holm 1979), and for those with the baselines, which stand in the same
table: a difference that is resolved here is never "not resolved" in a verdict.
"""

from dataclasses import dataclass
from itertools import combinations

from ablations.tables.groups import Group
from ablations.tables.table import Comparison, Line, Table, compare


@dataclass(frozen=True)
class Pairwise:
    """found: by the names of a row and of one with a lower median, their comparison; None if they share no seed."""

    found: dict[tuple[str, str], Comparison | None]

    def comparison(self, line: Line, better: Line) -> Comparison | None:
        """A row against one of its group that has a lower median, in points. Raises KeyError for other rows."""
        return self.found[line.row.name, better.row.name]

    @property
    def tests(self) -> int:
        """For how many comparisons the p-values are corrected."""
        return sum(found is not None and found.p is not None for found in self.found.values())


def pairwise(table: Table, made: list[Group]) -> Pairwise:
    """The rows that learn in these groups of a table, each compared with each of its group."""
    pairs = [(line, better) for group in made for better, line in combinations(group.learning, 2)]
    known = {frozenset((line.row.name, better.row.name)) for line, better in pairs}
    for line in table.lines:
        baseline = table.line(line.row.baseline)
        if baseline and frozenset((line.row.name, baseline.row.name)) not in known:
            pairs.append((line, baseline))
    names = [(line.row.name, other.row.name) for line, other in pairs]
    return Pairwise(dict(zip(names, compare(pairs), strict=True)))
