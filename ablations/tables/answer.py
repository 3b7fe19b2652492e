"""What a table says, in sentences for someone who has not read the paper; every number is computed from the runs.

Each group of rows (`groups`) is a question of its own; a table of depths (`depths`) or of pairs (`pairs`) has another.
"""

import math

from ablations.runs.record import FAIL_PERCENT
from ablations.tables import cells, depths, pairs
from ablations.tables.groups import Group, groups
from ablations.tables.pairwise import Pairwise, pairwise
from ablations.tables.table import Comparison, Line, Table
from ablations.tables.verdict import verdict

FEW = 3  # of more names or groups, only their number is said


def answer(table: Table) -> list[str]:
    """First the study's question, answered in one sentence for each group of rows; then what else the rows say."""
    made = groups(table)
    if not made:
        return ["Nothing of this study has been run yet."]
    sentences = depths.sentences(table) or pairs.sentences(table, made) or [_each(table, made), _fails(made)]
    return [sentence for sentence in [*sentences, _not_run(table), _paper(table)] if sentence]


def _each(table: Table, made: list[Group]) -> str:
    """A sentence for each group; groups in which the same row is the only one that learns have one together."""
    compared = pairwise(table, made)
    alone: dict[str, list[Group]] = {}
    for group in made:
        if len(group.learning) == 1 < len(group.lines):
            alone.setdefault(group.spoken(group.learning[0]), []).append(group)
    said, sentences = set(), []
    for group in made:
        only = group.spoken(group.learning[0]) if len(group.learning) == 1 < len(group.lines) else ""
        if only in said:
            continue
        said |= {only} - {""}
        sentences.append(_only(only, alone[only]) if only else _sentence([group], _one(group, compared)))
    return " ".join(sentences)


def _sentence(of: list[Group], text: str) -> str:
    if not of[0].name:
        return f"{text[0].upper()}{text[1:]}."
    return f"{_of_the(of)}, {text}."


def _of_the(of: list[Group]) -> str:
    return f"Of the {_adjectives(of)} {of[0].noun}"


def _adjectives(of: list[Group]) -> str:
    return cells.listed([group.adjective for group in of])


def _only(name: str, of: list[Group]) -> str:
    error = _from_to([f"{median:.2f}" for median in sorted(group.learning[0].median for group in of)])
    counts = sorted(len(group.lines) for group in of)
    if len(of) == 1:
        return _sentence(of, f"only {name} learns of {counts[0]} rows, with {error} % test error")
    run = f"{counts[0]} or {counts[-1]}" if counts[-1] == counts[0] + 1 else _from_to([str(count) for count in counts])
    where = f"In the {_adjectives(of)} {of[0].noun}"
    return f"{where}, of the {run} rows run in each, only {name} learns, with {error} % test error."


def _from_to(ordered: list[str]) -> str:
    return " to ".join(dict.fromkeys([ordered[0], ordered[-1]]))


def _one(group: Group, compared: Pairwise) -> str:
    best, learning, count = group.ordered[0], group.learning, len(group.lines)
    if count == 1:
        return f"only {group.spoken(best)} is run: {_error(best)}"
    if not learning:
        lowest = (
            "all diverged" if math.isinf(best.median) else f"the lowest error is {_error(best)}, {group.spoken(best)}"
        )
        return f"none of {count} rows learns; {lowest}"
    ties = [group.spoken(line) for line in learning if line.median == best.median]
    every = "both rows learn" if count == 2 else f"all {count} rows learn"
    learn = every if len(learning) == count else f"{len(learning)} of {count} rows learn"
    if FEW < len(learning) < count:
        learn += f" ({cells.together([group.spoken(line) for line in group.lines if not line.fails])})"
    are = "is" if len(ties) == 1 else "are"
    return f"{learn}; best {are} {cells.listed(ties)}, with {_error(best)}{_how_sure(group, compared)}"


def _how_sure(group: Group, compared: Pairwise) -> str:
    """Whether the seeds can tell the best row from the others that learn."""
    best = group.learning[0]
    behind = [line for line in group.learning if line.median > best.median]
    comparisons = [compared.comparison(line, best) for line in behind]
    unsure = [line for line, of_line in zip(behind, comparisons, strict=True) if not (of_line and of_line.resolved)]
    if not behind:
        return ""
    if not unsure:
        return ", ahead of the others by more than chance explains"
    names = cells.listed([group.spoken(line) for line in unsure])
    if len(unsure) > FEW:
        names = "the others" if unsure == behind else f"{len(unsure)} others"
    them = "it" if len(behind) == len(group.learning) - 1 else "them"
    return f", but {cells.seeds(best.n)} cannot tell {them} from {names}"


def _error(line: Line) -> str:
    if math.isinf(line.median):
        return "it diverged"
    return f"{line.median:.2f} % test error ({'one seed' if line.n == 1 else f'the median of {line.n} seeds'})"


def _fails(made: list[Group]) -> str:
    """Which rows fail where others learn, unless a single one learns, as the headline says then."""
    failing = [
        (group, [group.spoken(line) for line in group.lines if line.fails]) for group in made if len(group.learning) > 1
    ]
    failing = [(group, names) for group, names in failing if names]
    texts = [f"{cells.listed(names)} {'fails' if len(names) == 1 else 'fail'}" for _, names in failing]
    above = f"with a median above {FAIL_PERCENT:g} %"
    if not failing:
        return ""
    if not made[0].name:
        (_, names), *_ = failing
        return f"{'One row fails' if len(names) == 1 else f'{len(names)} rows fail'}, {above}: {cells.together(names)}."
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
    compared = pairwise(table, made)
    return [sentence for group in made if (sentence := _runner_up(group, compared))] if len(made) <= FEW else []


def _runner_up(group: Group, compared: Pairwise) -> str:
    behind = [line for line in group.learning if line.median > group.ordered[0].median]
    if not behind:
        return ""
    best, second = group.ordered[0], behind[0]
    found = compared.comparison(second, best)
    text = f"After {best.row.name} ({_spread(best)}) comes {second.row.name} ({_spread(second)})"
    if found is None or found.interval is None:
        return f"{text}; without two seeds that both have, nobody can say how much of the difference is chance."
    return f"{text}; seed by seed it differs by {_difference(found, compared.tests)}."


def _difference(found: Comparison, tests: int) -> str:
    assert found.interval is not None and found.p is not None  # two seeds or more
    low, high = found.interval
    p = f"p {cells.p_in_words(found.p)}"
    p += f" (Holm-corrected for {tests} comparisons, since the two were chosen by their errors)" if tests > 1 else ""
    reading = "more than chance explains" if found.resolved else "no more than chance explains"
    return f"{found.mean:+.2f} points on average, 95 % interval {low:+.2f} to {high:+.2f}, {p}: {reading}"


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
    unjudged = [text for text in verdicts if text.startswith("baseline ")]
    if not failing and not near and not unjudged:
        return ""
    words = [" row fails" if failing[0][0] == 1 else " rows fail", *[""] * len(failing)] if failing else []
    parts = [", ".join(f"{count}{word} {text}" for (count, text), word in zip(failing, words, strict=False))][
        : len(failing)
    ]
    parts += [f"of those that learn in both, {cells.listed(near)}"] if near else []
    if unjudged:
        why = " or ".join(text.removeprefix("baseline ").replace("not ", "is not ") for text in dict.fromkeys(unjudged))
        parts.append(f"{len(unjudged)} {'has' if len(unjudged) == 1 else 'have'} no verdict, as the baseline {why}")
    text = f"Beside the paper: {'; '.join(parts)}."
    return f"{text} These runs are not the paper's: compare the order, not the figures." if table.departures else text
