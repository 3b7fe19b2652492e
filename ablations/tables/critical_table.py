"""The critical depths as a table: on a terminal, as Markdown, or as CSV."""

import math

from ablations.runs.record import FAIL_PERCENT
from ablations.tables.cells import p_in_words, title
from ablations.tables.critical import AT, Critical, Line
from ablations.terminal import grid

FORMATS = ("terminal", "markdown", "csv")
FIRST = "fails at depth"  # the heading of the first column; those of the depths follow
MEASURED = {"start": "measured before training", "end": "measured after training"}


def cells(critical: Critical) -> list[dict[str, str]]:
    """The cells of each line, by the heading."""
    measured = [at for at in AT if any(line.measured.get(at) for line in critical.lines)]
    return [
        {FIRST: line.choice}
        | {str(depth): "/".join(map(str, line.outcomes.get(depth, "-"))) for depth in critical.depths}
        | {"half fail at": _half(line), "95 % interval": _interval(line)}
        | (
            {f"p against {critical.baseline}": "" if line.p is None else p_in_words(line.p)}
            if critical.baseline
            else {}
        )
        | ({f"paper, {critical.paper_depth}": _paper(line) or "-"} if critical.paper_depth else {})
        | {"factor": "-" if line.scale is None else f"{line.scale:.4g}", "Eqn. 8": _predicted(line)}
        | {MEASURED[at]: _nearest(line, at) for at in measured}
        for line in critical.lines
    ]


def _half(line: Line) -> str:
    x, shown = line.crossing.x, line.shown_depth
    return "-" if math.isnan(x) else f"> {shown:.0f}" if x > shown else f"< {shown:.0f}" if x < shown else f"{x:.0f}"


def _interval(line: Line) -> str:
    low, high = line.crossing.low, line.crossing.high
    if low is None or high is None:
        return f"> {low:.0f}" if low is not None else f"< {high:.0f}" if high is not None else "not resolved"
    return f"{low:.0f} - {high:.0f}"


def _predicted(line: Line) -> str:
    """At the critical depth; at the end of the depths that it lies beyond, which is named."""
    product = None if math.isnan(line.crossing.x) else line.product(line.shown_depth)
    where = "" if line.shown_depth == line.crossing.x else f" at {line.shown_depth:.0f}"
    return "-" if product is None else f"{product:.3g}{where}"


def _nearest(line: Line, at: str) -> str:
    """At the measured depth that is nearest to the critical one."""
    products = line.measured.get(at, {})
    if not products or math.isnan(line.crossing.x):
        return "-"
    depth = min(products, key=lambda depth: abs(math.log(depth / line.shown_depth)))
    return f"{products[depth]:.3g} at {depth}"


def _paper(line: Line) -> str:
    return line.at_paper.paper["value"] if line.at_paper and line.at_paper.paper else ""


def notes(critical: Critical) -> list[str]:
    """The lines below the table."""
    made = critical.made
    lines = [
        f"Fails of runs at each depth: test error above {FAIL_PERCENT:g} % or diverged.",
        "Half fail at: the depth at which half of the seeds fail, by logistic regression of fail on log(depth), each row "
        "alone, with Firth's penalty, as fails and successes seldom overlap. 95 % interval: by the penalised profile "
        "likelihood of that depth. > or <: it lies beyond these depths.",
    ]
    if any(line.crossing.x in (0, math.inf) for line in critical.lines):
        lines.append(
            "Where no run fails or all do, or fails do not grow with depth, no curve is fitted: at the limit, an even chance to "
            "fail there and beyond would give such runs in at most 2.5 % of cases."
        )
    if tested := [line for line in critical.lines if line.p is not None]:
        corrected = f", Holm-corrected for {len(tested)} rows" if len(tested) > 1 else ""
        lines.append(
            f"p: whether a row fails as often as {critical.baseline} at equal depths, by the exact test given the fails of both "
            f"at each depth{corrected}."
        )
    lines.append(
        "Factor: that on one shortcut before training; Eqn. 8: the product of all of them at the critical depth. If it "
        "alone decided, all rows would begin to fail at the same product."
    )
    if any(line.measured for line in critical.lines):
        lines.append("Measured: the same by ablations probe, with f, at the nearest depth that was measured.")
    for at in AT:
        tau, count = critical.tau_of_products(at)
        if tau is not None:
            lines.append(
                f"Kendall's tau between the products {MEASURED[at]} at {critical.paper_depth} layers and the critical depths: "
                f"{tau:.2f} over {count} rows."
            )
    if critical.paper_depth and made.study.paper_note:
        lines.append(f"The column paper: {made.study.paper_note}.")
    tau, count = critical.tau
    if tau is not None:
        lines.append(
            f"Kendall's tau between the paper's order at {critical.paper_depth} layers and that of the critical depths: "
            f"{tau:.2f} over {count} rows; fails are tied there, those that fail at no depth or at all are tied here."
        )
    if others := [line.row.name for line in made.lines if line.n and not line.row.choices]:
        lines.append(f"Left out, as they have no depth in the study's grid: {', '.join(others)}.")
    lines += [f"Left out: {error}." for error in made.unreadable]
    return lines + [note for note in (made.departures, made.arithmetic, made.provenance) if note]


def show(critical: Critical) -> None:
    """Print to the terminal."""
    rows = cells(critical)
    right = tuple(name for name in rows[0] if name != FIRST)
    grid.show(f"{title(critical.made)}\n{critical.made.settings}", rows, right, notes(critical))


def markdown(critical: Critical) -> str:
    return grid.markdown(title(critical.made), cells(critical), [critical.made.settings, *notes(critical)])


def as_csv(critical: Critical) -> str:
    """One line for each choice, in plain numbers; an empty cell is no limit, or nothing known."""
    heading = ["study", "row", *(f"{what}_{depth}" for depth in critical.depths for what in ("fails", "runs"))]
    heading += ["critical_depth", "interval_low", "interval_high", "p_against_baseline", "paper", "factor", "product"]
    heading += [f"product_{at}" for at in AT]
    return grid.as_csv([*heading, "settings"], (_plain(line, critical) for line in critical.lines))


def _plain(line: Line, critical: Critical) -> list:
    x, shown = line.crossing.x, line.shown_depth
    return [
        critical.made.study.name,
        line.choice,
        *(count for depth in critical.depths for count in line.outcomes.get(depth, ("", ""))),
        *(limit and f"{limit:.4g}" for limit in (x if x == shown else None, line.crossing.low, line.crossing.high)),
        None if line.p is None else f"{line.p:.4g}",
        _paper(line),
        line.scale,
        None if math.isnan(x) else line.product(shown),
        *(_nearest(line, at).partition(" ")[0].removesuffix("-") for at in AT),
        critical.made.settings,
    ]
