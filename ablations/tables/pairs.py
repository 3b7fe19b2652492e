"""A table of pairs of rows, such as two units at each of several depths, in sentences: by how much the second helps."""

import math

from ablations.tables import cells, interval
from ablations.tables.groups import Group, spoken
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
    first, second = spoken(first), spoken(second)
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
    else:
        start = f"{_trend(second, of)}: its error is below that of {first} by"
    return f"{where}{start} {cells.listed(texts)}."


def _trend(second: str, of: list[Group]) -> str:
    """How the gains, all above 0, change with depth: what the seeds say of the deepest and the shallowest networks.

    The order of the gains in between is no evidence: it may hang on a single image.
    """
    helps = f"{second} helps in every network"
    by_depth: dict[int, list[Group]] = {}
    for group in of:
        by_depth.setdefault(group.depth or 0, []).append(group)
    if 0 in by_depth or len(by_depth) < 2:
        return helps
    low, *_, high = sorted(by_depth)
    differing = {_changes(shallow, deep) for shallow in by_depth[low] for deep in by_depth[high]}
    if len(differing) > 1 or not (change := differing.pop()):
        fewest = cells.seeds(min(line.n for group in of for line in group.lines))
        return f"{helps}; whether the more, the deeper, {fewest} cannot tell"
    return f"{second} helps {'more' if change > 0 else 'less'} at {high} layers than at {low}"


def _changes(shallow: Group, deep: Group) -> int:
    """1 if the second row helps more in the deep network, -1 if less; 0 if Welch's t-test at 5 % of the differences between
    the two rows, one a seed, cannot tell.
    """
    gains = [group.lines[0].differences(group.lines[1]) for group in (shallow, deep)]
    if min(map(len, gains)) < 2 or interval.welch_p_value(*gains) > 1 - interval.LEVEL:
        return 0
    less, more = (sum(found) / len(found) for found in gains)
    return 1 if more > less else -1


def _chance(of: list[Group]) -> str:
    compared = compare([(group.lines[1], group.lines[0]) for group in of])
    resolved = [group.name for group, found in zip(of, compared, strict=True) if found and found.resolved]
    if resolved:
        some = f"{'that' if len(resolved) == 1 else 'those'} of {cells.listed(resolved)}"
        which = "all" if len(resolved) == len(of) else some
        return f"Of these, {which} {'is' if len(resolved) == 1 else 'are'} more than chance explains."
    return (
        f"But {cells.seeds(min(line.n for group in of for line in group.lines))} cannot tell any of these from chance."
    )
