"""The critical depth of each shortcut or activation order: where half of the seeds fail, beside the paper and Eqn. 8.

From the records of a study whose grid has a choice on its first axis and a depth on its second, such as `depth`.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ablations.config.run import Config, from_resolved
from ablations.config.study import Study
from ablations.errors import UserError
from ablations.networks.families.resnet import BRANCHES, ResNet
from ablations.runs.record import UnreadableRecord, failed
from ablations.tables import exact, firth, interval, table
from ablations.tables.verdict import paper_key, tau_b

AT = ("start", "end")  # when `ablations probe` measures: before training, after it


@dataclass(frozen=True)
class Line:
    """A choice: a shortcut or an order.

    outcomes: depth -> (how many runs fail, of how many). crossing: the depth at which half of them do.
    at_paper: its row at `Critical.paper_depth`; None if there is none. config: of one of the runs.
    measured: for each of AT that was measured, depth -> the product of Eqn. 8 as `ablations probe` found it.
    p: of the exact test of whether it fails as often as the baseline at equal depths, corrected for the number of
        choices (Holm 1979); None for the baseline.
    """

    choice: str
    outcomes: dict[int, tuple[int, int]]
    crossing: firth.Crossing
    at_paper: table.Line | None
    config: Config
    measured: dict[str, dict[int, float]]
    p: float | None = None

    @property
    def scale(self) -> float | None:
        """lambda of Eqn. 8: the factor on each shortcut before training; None if it is not a number."""
        return self.config.shortcut.scale

    @property
    def shown_depth(self) -> float:
        """The critical depth, or the end of the trained depths beyond which it lies."""
        return min(max(self.crossing.x, min(self.outcomes)), max(self.outcomes))

    def product(self, depth: float) -> float | None:
        """Eqn. 8: the product of the factors on all shortcuts of a network of this depth; None if they are not numbers."""
        shortcut, model = self.config.shortcut, self.config.model
        if not isinstance(model, ResNet):
            return None
        units = (depth - 2) / BRANCHES[model.branch]  # all layers but the first and the last are in units
        if not shortcut.at_dimension_change:
            units -= len(model.units) - (model.branch != "bottleneck")  # the first unit keeps its shape
        return None if self.scale is None else abs(self.scale) ** units


@dataclass(frozen=True)
class Critical:
    """made: the table of the study's rows. paper_depth: the depth at which the paper's order is compared; None: nowhere.

    baseline: the choice that the others are tested against; "" if there is none with runs.
    """

    made: table.Table
    depths: tuple[int, ...]
    lines: tuple[Line, ...]
    paper_depth: int | None
    baseline: str = ""

    @property
    def tau(self) -> tuple[float | None, int]:
        """Kendall's tau-b between the paper's order and that of the critical depths, and the number of choices.

        All that fail are tied in the paper's; in ours those that fail at no depth, and those that fail at all.
        """
        compared = [
            (paper_key(line.at_paper), -line.crossing.x)
            for line in self.lines
            if line.at_paper and line.at_paper.in_paper and not math.isnan(line.crossing.x)
        ]
        return tau_b([paper for paper, _ in compared], [ours for _, ours in compared]), len(compared)

    def tau_of_products(self, at: str) -> tuple[float | None, int]:
        """Kendall's tau-b between the products measured at `paper_depth` and the critical depths, and the number of choices."""
        compared = [
            (line.measured[at][self.paper_depth], line.crossing.x)
            for line in self.lines
            if self.paper_depth in line.measured.get(at, {}) and not math.isnan(line.crossing.x)
        ]
        return tau_b([product for product, _ in compared], [depth for _, depth in compared]), len(compared)


def make(
    study: Study, records: list[dict], measurements: Sequence[dict] = (), unreadable: Sequence[UnreadableRecord] = ()
) -> Critical:
    """The study's choices, in its order. measurements: of `ablations probe`.

    Raises UserError if the study's grid has no depths, or its runs only one or others, or where `table.make` does.
    """
    depth_of = depths(study)
    made, runs = table.make(study, records, unreadable), table.by_row(study, records)
    trained = sorted({depth_of[name] for name in runs if name in depth_of})
    if len(trained) < 2:
        have = f"are all of {trained[0]} layers" if trained else "are of none of its rows"
        raise UserError(f"study={study.name}: the runs {have}; a critical depth needs runs of two depths or more")
    for name in runs.keys() & depth_of.keys():
        if (layers := runs[name][0]["config"]["model"]["depth"]) != depth_of[name]:
            raise UserError(f"study={study.name}: the runs of row {name} have {layers} layers, not {depth_of[name]}")
    paper_depth, products = _paper_depth(made, depth_of), _products(study, measurements)
    lines = []
    for choice in dict.fromkeys(row.choices[0] for row in study.rows if row.choices):
        rows = {depth_of[row.name]: row.name for row in study.rows if row.choices[:1] == (choice,)}
        done = {depth: runs[name] for depth, name in sorted(rows.items()) if name in runs}
        if done:
            outcomes = {depth: (sum(map(failed, of_depth)), len(of_depth)) for depth, of_depth in done.items()}
            record = next(iter(done.values()))[0]
            paper = made.line(rows[paper_depth]) if paper_depth in rows else None
            config = from_resolved(record["config"], record)
            measured = {
                at: {depth: of_row[name] for depth, name in rows.items() if name in of_row}
                for at, of_row in products.items()
            }
            lines.append(Line(choice, outcomes, firth.crossing(outcomes), paper, config, measured))
    baseline = _baseline(study, lines)
    return Critical(made, tuple(trained), tuple(_tested(lines, baseline)), paper_depth, baseline)


def _baseline(study: Study, lines: Sequence[Line]) -> str:
    """The choice of the rows with which others are compared."""
    choices = {row.name: row.choices[0] for row in study.rows if row.choices}
    named = {choices[row.baseline] for row in study.rows if row.choices and row.baseline in choices}
    return next((line.choice for line in lines if {line.choice} == named), "")


def _tested(lines: Sequence[Line], baseline: str) -> list[Line]:
    """The lines with their p against the baseline."""
    of_baseline = next((line.outcomes for line in lines if line.choice == baseline), {})
    p_values = {
        line.choice: p
        for line in lines
        if line.choice != baseline and (p := exact.p_value(line.outcomes, of_baseline)) is not None
    }
    corrected = dict(zip(p_values, interval.holm([*p_values.values()]), strict=True))
    return [replace(line, p=corrected.get(line.choice)) for line in lines]


def depths(study: Study) -> dict[str, int]:
    """The depth of each row of the study's grid. Raises UserError if it has no grid of a choice and a depth."""
    rows = [row for row in study.rows if row.choices]
    if not rows or any(len(row.choices) != 2 or not row.choices[1].isdecimal() for row in rows):
        raise UserError(
            f"study={study.name}: a critical depth needs a study whose grid has two axes, a choice and a depth, such as "
            "depth or depth_orders"
        )
    return {row.name: int(row.choices[1]) for row in rows}


def _paper_depth(made: table.Table, depth_of: dict[str, int]) -> int | None:
    """The depth at which the paper has most results, if those are two or more."""
    known = [depth_of[line.row.name] for line in made.lines if line.row.name in depth_of and line.in_paper]
    most = max(known, key=known.count, default=None)
    return most if most and known.count(most) > 1 else None


def _products(study: Study, measurements: Sequence[dict]) -> dict[str, dict[str, float]]:
    """For each of AT that was measured, by row: the product of all units, the median of the seeds."""
    found = {}
    for measurement in measurements:
        product = measurement["units"].get("product", [None])[0]
        if product is not None:
            found.setdefault(measurement["at"], {}).setdefault(study.row_of(measurement["row"]), []).append(product)
    return {at: {row: statistics.median(seeds) for row, seeds in found[at].items()} for at in AT if at in found}
