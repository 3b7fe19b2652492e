"""What a table says, in sentences for someone who has not read the paper; every number is computed from the runs.

Rows with the same baseline belong together, such as those of one depth: each group is a question of its own.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ablations.runs.record import FAIL_PERCENT
from ablations.tables import cells
from ablations.tables.table import Comparison, Line, Table, compare
from ablations.tables.verdict import verdict

FEW = 3  # of more names or groups, only their number is said


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


def answer(table: Table) -> list[str]:
    """First the study's question, answered in one sentence for each group of rows; then what else the rows say."""
    made = groups(table)
    if not made:
        return ["Nothing of this study has been run yet."]
    sentences = _by_depth(table) or _pairs(table, made) or [_each(made), _fails(made)]
    return [sentence for sentence in [*sentences, _not_run(table), _paper(table)] if sentence]


def groups(table: Table) -> list[Group]:
    """The rows that have runs, grouped by their baseline or, if that is compared with another row, by that one's.

    Rows of which one is chosen belong together, too.
    """
    by_baseline: dict[str, list[Line]] = {}
    chosen_from = {name: f"best of {row.name}" for row in table.study.rows for name in row.best_of}
    for line in table.lines:
        if line.n and not line.row.tests:
            root = _root(table, line)
            by_baseline.setdefault(chosen_from.get(root, root), []).append(line)
    if len(by_baseline) == 1:
        return [Group("", tuple(lines)) for lines in by_baseline.values()]
    return [_named(baseline, lines) for baseline, lines in by_baseline.items()]


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


def _each(made: list[Group]) -> str:
    """A sentence for each group; groups in which the same row is the only one that learns have one together."""
    alone: dict[str, list[Group]] = {}
    for group in made:
        if len(group.learning) == 1 < len(group.lines):
            alone.setdefault(group.called(group.learning[0]), []).append(group)
    said, sentences = set(), []
    for group in made:
        only = group.called(group.learning[0]) if len(group.learning) == 1 < len(group.lines) else ""
        if only in said:
            continue
        said |= {only} - {""}
        sentences.append(_only(only, alone[only]) if only else _sentence([group], _one(group)))
    return " ".join(sentences)


def _sentence(of: list[Group], text: str) -> str:
    if not of[0].name:
        return f"{text[0].upper()}{text[1:]}."
    return f"{_of_the(of)}, {text}."


def _of_the(of: list[Group]) -> str:
    return f"Of the {cells.listed([group.adjective for group in of])} {of[0].noun}"


def _only(name: str, of: list[Group]) -> str:
    error = _from_to([f"{median:.2f}" for median in sorted(group.learning[0].median for group in of)])
    count = _from_to([str(count) for count in sorted(len(group.lines) for group in of)])
    return _sentence(of, f"only {name} learns of {count} rows, with {error} % test error")


def _from_to(ordered: list[str]) -> str:
    return " to ".join(dict.fromkeys([ordered[0], ordered[-1]]))


def _one(group: Group) -> str:
    best, learning, count = group.ordered[0], group.learning, len(group.lines)
    if count == 1:
        return f"only {group.called(best)} is run: {_error(best)}"
    if not learning:
        lowest = (
            "all diverged" if math.isinf(best.median) else f"the lowest error is {_error(best)}, {group.called(best)}"
        )
        return f"none of {count} rows learns; {lowest}"
    ties = [group.called(line) for line in learning if line.median == best.median]
    every = "both rows learn" if count == 2 else f"all {count} rows learn"
    learn = every if len(learning) == count else f"{len(learning)} of {count} rows learn"
    if FEW < len(learning) < count:
        learn += f" ({cells.together([group.called(line) for line in group.lines if not line.fails])})"
    return (
        f"{learn}; best {'is' if len(ties) == 1 else 'are'} {cells.listed(ties)}, with {_error(best)}{_how_sure(group)}"
    )


def _how_sure(group: Group) -> str:
    """Whether the seeds can tell the best row from the others that learn."""
    best = group.learning[0]
    behind = [line for line in group.learning if line.median > best.median]
    compared = compare([(line, best) for line in behind])
    unsure = [line for line, found in zip(behind, compared, strict=True) if not (found and found.resolved)]
    if not behind:
        return ""
    if not unsure:
        return ", ahead of the others by more than chance explains"
    names = cells.listed([group.called(line) for line in unsure])
    if len(unsure) > FEW:
        names = "the others" if unsure == behind else f"{len(unsure)} others"
    return f", but {_seeds(best.n)} cannot tell it from {names}"


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def _error(line: Line) -> str:
    if math.isinf(line.median):
        return "it diverged"
    return f"{line.median:.2f} % test error ({'one seed' if line.n == 1 else f'the median of {line.n} seeds'})"


def _by_depth(table: Table) -> list[str]:
    """Of a grid of choices and three depths or more: where each choice first fails; and how those do that never fail."""
    lines = [line for line in table.lines if line.n and line.row.choices]
    if any(len(line.row.choices) != 2 or not line.row.choices[1].isdecimal() for line in lines):
        return []
    by_choice: dict[str, dict[int, Line]] = {}
    for line in lines:
        choice, depth = line.row.choices
        by_choice.setdefault(choice, {})[int(depth)] = line
    depths = sorted({depth for of_choice in by_choice.values() for depth in of_choice})
    if len(depths) < 3:
        return []
    failing: dict[int, list[str]] = {}  # by the least depth at which they fail
    learning = {}
    for choice, of_choice in by_choice.items():
        if at := [depth for depth in sorted(of_choice) if of_choice[depth].fails]:
            failing.setdefault(at[0], []).append(choice)
        else:
            learning[choice] = of_choice
    return [_first_fails(failing, list(learning), depths), _growth(learning)]


def _first_fails(failing: dict[int, list[str]], learning: list[str], depths: list[int]) -> str:
    if not failing:
        rows = "The only row learns" if len(learning) == 1 else f"All {len(learning)} rows learn"
        return f"{rows} at every depth, from {depths[0]} to {depths[-1]} layers."
    (soonest, first), *later = sorted(failing.items())
    then = cells.listed([f"{cells.listed(choices)} ({depth})" for depth, choices in later]) if later else ""
    text = f"The deeper the networks, the fewer learn: {cells.listed(first)} {'fails' if len(first) == 1 else 'fail'} first, "
    text += f"at {soonest} layers{f', then {then}' if then else ''}; "
    if not learning:
        return f"{text}none learns at every depth."
    return f"{text}up to {depths[-1]} layers only {cells.listed(learning)} never {'fails' if len(learning) == 1 else 'fail'}."


def _growth(learning: dict[str, dict[int, Line]]) -> str:
    """The errors of choices that learn at every depth, at the least and at the greatest."""
    ends = {(min(of_choice), max(of_choice)) for of_choice in learning.values()}
    if len(ends) != 1:
        return ""
    [(low, high)] = ends
    texts = [f"{choice} {lines[low].median:.2f} and {lines[high].median:.2f} %" for choice, lines in learning.items()]
    return f"Test error at {low} and at {high} layers: {', '.join(texts)}."


def _pairs(table: Table, made: list[Group]) -> list[str]:
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
    return f"But {_seeds(min(line.n for group in of for line in group.lines))} cannot tell any of these from chance."


def _fails(made: list[Group]) -> str:
    """Which rows fail where others learn, unless a single one learns, as the headline says then."""
    failing = [
        (group, [group.called(line) for line in group.lines if line.fails]) for group in made if len(group.learning) > 1
    ]
    failing = [(group, names) for group, names in failing if names]
    texts = [f"{cells.listed(names)} {'fails' if len(names) == 1 else 'fail'}" for _, names in failing]
    above = f"with a median above {FAIL_PERCENT:g} %"
    if not failing:
        return ""
    if not made[0].name:
        (_, names), *_ = failing
        return f"{len(names)} {'fails' if len(names) == 1 else 'fail'}, {above}: {cells.together(names)}."
    if len(failing) == len(made) and len(set(texts)) == 1:
        return f"In {'both' if len(made) == 2 else 'each'}, {texts[0]}, {above}."
    said = "; ".join(f"{_of_the([group])}, {text}" for (group, _), text in zip(failing, texts, strict=True))
    return f"{said.replace('; Of', '; of')}, {above}."


def _not_run(table: Table) -> str:
    rows = [line for line in table.lines if line.row.overrides is not None]
    missing = sum(not line.n for line in rows)
    return f"{missing} of {len(rows)} rows {'is' if missing == 1 else 'are'} not run yet." if missing else ""


def statistics(table: Table) -> list[str]:
    """For the notes: how far the second best row of each group is behind the best, seed by seed."""
    made = groups(table)
    return [sentence for group in made if (sentence := _runner_up(group))] if len(made) <= FEW else []


def _runner_up(group: Group) -> str:
    behind = [line for line in group.learning if line.median > group.ordered[0].median]
    if not behind:
        return ""
    best, second = group.ordered[0], behind[0]
    [found] = compare([(second, best)])
    text = f"After {best.row.name} ({_spread(best)}) comes {second.row.name} ({_spread(second)})"
    if found is None or found.interval is None:
        return f"{text}; without two seeds that both have, nobody can say how much of the difference is chance."
    return f"{text}; seed by seed it differs by {_difference(found)}."


def _difference(found: Comparison) -> str:
    assert found.interval is not None  # two seeds or more
    low, high = found.interval
    reading = "more than chance explains" if found.resolved else "no more than chance explains"
    return f"{found.mean:+.2f} points on average, 95 % interval {low:+.2f} to {high:+.2f}: {reading}"


def _spread(line: Line) -> str:
    if line.n == 1:
        return f"{line.median:.2f} %, one seed"
    spread = f"from {min(line.finite):.2f} to {max(line.finite):.2f} %" if not line.diverged else "some diverged"
    return f"median {line.median:.2f} %, {spread}"


def _paper(table: Table) -> str:
    """In what the rows agree with the paper's."""
    verdicts = [verdict(line, table) for line in table.lines]
    fails = {
        "agrees: fails": "in both",
        "differs: ours fails": "here only",
        "differs: the paper's fails": "there only",
    }
    sides = {
        "agrees: ": "on the paper's side of the baseline",
        "differs: ": "on the other side of it",
        "not resolved": "too close to the baseline for so few seeds",
    }
    learning = [text for text in verdicts if text not in fails]
    failing = [(verdicts.count(kind), text) for kind, text in fails.items() if kind in verdicts]
    counts = {text: sum(ours.startswith(kind) for ours in learning) for kind, text in sides.items()}
    near = [f"{count} {'is' if count == 1 else 'are'} {text}" for text, count in counts.items() if count]
    if not failing and not near:
        return ""
    words = [" row fails" if failing[0][0] == 1 else " rows fail", *[""] * len(failing)] if failing else []
    parts = [", ".join(f"{count}{word} {text}" for (count, text), word in zip(failing, words, strict=False))][
        : len(failing)
    ]
    parts += [f"of those that learn in both, {cells.listed(near)}"] if near else []
    text = f"Beside the paper: {'; '.join(parts)}."
    return f"{text} These runs are not the paper's: compare the order, not the figures." if table.departures else text
