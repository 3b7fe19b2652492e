"""A table of pairs of rows, such as two units at each of several depths, in sentences: by how much the second helps."""

import math
from itertools import pairwise

from ablations.tables import cells
from ablations.tables.groups import Group
from ablations.tables.table import Table, compare


def sentences(table: Table, made: list[Group]) -> list[str]:
    """Of a table of pairs of rows: by how much the second helps, and whether the more, the deeper."""
    part = made[0].part
    pair = (
        tuple(dict.fromkeys(line.row.cell[part] for line in table.lines if line.row.cell)) if part is not None else ()
    )
    made = [group for group in made if tuple(map(group.called, group.lines)) == pair]
    if len(pair) != 2 or len(made) < 2:
        return []
    by_data: dict[str, list[Group]] = {}
    for group in made:
        by_data.setdefault(group.lines[0].row.data, []).append(group)
    texts = [_helps(*pair, of, f"On {data}: " if len(by_data) > 1 else "") for data, of in by_data.items()]
    return [" ".join(texts), _chance(made)]


def _helps(first: str, second: str, of: list[Group], where: str) -> str:
    gains = [group.lines[0].median - group.lines[1].median for group in of]
    everywhere = all(gain > 0 for gain in gains)
    texts = []
    for gain, group in zip(gains, of, strict=True):
        fails = [name for name, line in zip((first, second), group.lines, strict=True) if line.fails]
        verb = "fails" if len(fails) == 1 else "fail"
        number = (f"{gain:.2f}" if everywhere else f"{-gain:+.2f}") if math.isfinite(gain) else "no number"
        unit = " points" if not texts else ""
        texts.append(f"{number}{unit} ({group.name}{f', where {cells.listed(fails)} {verb}' if fails else ''})")
    if not everywhere:
        better = sum(gain > 0 for gain in gains)
        start = f"{second} helps in {better} of {len(of)} networks: its error minus that of {first} is"
    elif _grows(of, gains):
        start = f"The deeper the network, the more {second} helps: its error is below that of {first} by"
    else:
        start = f"{second} helps in every network, but not the more, the deeper: its error is below that of {first} by"
    return f"{where}{start} {cells.listed(texts)}."


def _grows(of: list[Group], gains: list[float]) -> bool:
    """Whether every gain is above those of all networks that are less deep."""
    by_depth: dict[int | None, list[float]] = {}
    for group, gain in zip(of, gains, strict=True):
        by_depth.setdefault(group.depth, []).append(gain)
    if None in by_depth or len(by_depth) < 2:
        return False
    ordered = [by_depth[depth] for depth in sorted(by_depth, key=lambda depth: depth or 0)]
    return all(max(before) < min(after) for before, after in pairwise(ordered))


def _chance(of: list[Group]) -> str:
    compared = compare([(group.lines[1], group.lines[0]) for group in of])
    resolved = [group.name for group, found in zip(of, compared, strict=True) if found and found.resolved]
    if resolved:
        return (
            f"Of these, {'all are' if len(resolved) == len(of) else cells.listed(resolved)} more than chance explains."
        )
    return (
        f"But {cells.seeds(min(line.n for group in of for line in group.lines))} cannot tell any of these from chance."
    )
