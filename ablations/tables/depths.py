"""A grid of choices and depths, in sentences: at which depth each choice begins to fail."""

from ablations.tables import cells
from ablations.tables.groups import spoken
from ablations.tables.table import Line, Table


def sentences(table: Table) -> list[str]:
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
            failing.setdefault(at[0], []).append(spoken(choice))
        else:
            learning[spoken(choice)] = of_choice
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
