"""A study's table from the records of its runs: the paper's figures beside ours. Imports neither JAX nor Hydra."""

import csv
import io
import statistics
from dataclasses import dataclass
from importlib import resources
from itertools import combinations

import yaml

from ablations.errors import UserError
from ablations.records import FAIL_PERCENT, first_difference
from ablations.study import Row, Study


@dataclass(frozen=True)
class Line:
    """A row with its runs: errors in percent, of the last evaluation, one a seed."""

    row: Row
    paper: str | None
    errors: tuple[float, ...]
    diverged: int

    @property
    def n(self) -> int:
        return len(self.errors)

    @property
    def median(self) -> float | None:
        """inf where most runs diverged: such a run has no error that could be averaged."""
        ordered = sorted(self.errors[: self.n - self.diverged]) + [float("inf")] * self.diverged
        return statistics.median(ordered) if ordered else None

    @property
    def fails(self) -> bool:
        return self.median is not None and self.median > FAIL_PERCENT

    @property
    def paper_fails(self) -> bool:
        return self.paper == "fail"


@dataclass(frozen=True)
class Table:
    """departures: where the recipe leaves the paper's protocol; provenance: machine, commit, versions."""

    study: Study
    settings: str
    lines: tuple[Line, ...]
    departures: str
    provenance: str


def select(records: list[dict], settings: dict[str, str]) -> list[dict]:
    """The records whose configuration has these settings: data=digits, recipe.total_steps=440.

    Raises UserError where a setting is in no configuration, or where the records that are left differ
    in data set, recipe or precision: a table never mixes those.
    """
    for key, value in settings.items():
        found = [_lookup(record, key) for record in records]
        if records and all(one is None for one in found):
            raise UserError(f"{key}={value}: no run has such a setting; see ablations table --help")
        wanted = yaml.safe_load(value)
        records = [record for record, one in zip(records, found, strict=True) if one == wanted or str(one) == value]
    parts = ("data", "recipe", "precision")
    _check_one_kind([{part: record["config"][part] for part in parts} for record in records], "the runs")
    return records


def _lookup(record: dict, key: str):
    value = record["config"]
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value.get("name") if isinstance(value, dict) else value


def _check_one_kind(configurations: list[dict], what: str) -> None:
    for other in configurations[1:]:
        if other != configurations[0]:
            key, first, second = first_difference(configurations[0], other)
            raise UserError(
                f"{what} differ in {key.removesuffix('.name')} ({first} and {second}): a table never mixes those; "
                "choose with key=value"
            )


def paper_values(table: str) -> dict[str, str]:
    """Row -> test error in percent, or "fail", of a table of the paper."""
    text = (resources.files("ablations.results") / "paper.csv").read_text()
    return {line["row"]: line["value"] for line in csv.DictReader(io.StringIO(text)) if line["table"] == table}


def make(study: Study, records: list[dict]) -> Table:
    """The rows of the study in the paper's order, then rows of the user's own.

    Raises UserError where the runs of one row differ in more than their seed.
    """
    paper = paper_values(study.paper_table)
    known, runs = {row.name for row in study.rows}, {}
    for record in records:
        base = record["row"].split(",")[0]
        name = base if base in known else record["row"]
        runs.setdefault(name, []).append(record)
    for name, of in runs.items():
        but_seed = [{k: v for k, v in record["config"].items() if k not in ("seed", "threads")} for record in of]
        _check_one_kind(but_seed, f"the runs of row {name}")
    own = [Row(name, (), on_shortcut=_shortcut(of)) for name, of in runs.items() if name not in known]
    lines = []
    for row in [*study.rows, *own]:
        done = sorted(runs.get(row.name, []), key=lambda record: record["status"] == "diverged")
        errors = tuple(record["test_error_percent"] for record in done)
        diverged = sum(record["status"] == "diverged" for record in done)
        lines.append(Line(row, paper.get(row.name), errors, diverged))
    return Table(study, _heading(records), tuple(lines), _departures(records), _provenance(records))


def _shortcut(records: list[dict]) -> str:
    shortcut = records[0]["config"]["shortcut"]
    return ", ".join([shortcut["name"], *(f"{k} {v:g}" for k, v in shortcut.items() if isinstance(v, float))])


def _heading(records: list[dict]) -> str:
    if not records:
        return "no runs"
    config = records[0]["config"]
    models = sorted({record["config"]["model"]["name"] for record in records})
    seeds = sorted({record["seed"] for record in records})
    images = f"{records[0]['train_images']:,} training images"
    if config["data"]["split"] == "train_val":
        images += "; the errors are of the validation set, for choosing"
    return (
        f"{', '.join(models)} on {config['data']['name']} ({images}), "
        f"recipe {config['recipe']['name']}, {config['recipe']['total_steps']:,} steps of batch "
        f"{config['recipe']['batch_size']}, {'seed' if len(seeds) == 1 else 'seeds'} {_ranges(seeds)}"
    )


def _ranges(seeds: list[int]) -> str:
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _departures(records: list[dict]) -> str:
    if not records:
        return ""
    recipe = records[0]["config"]["recipe"]
    found = [
        f"{key} {_plain(recipe[key])} (the paper: {_plain(value)})"
        for key, value in paper_protocol().items()
        if _plain(recipe[key]) != _plain(value)
    ]
    return f"Recipe {recipe['name']} departs from the paper's protocol in {', '.join(found)}." if found else ""


def paper_protocol() -> dict:
    """What the paper says of training: conf/recipe/paper.yaml, but for what it does not say or we left."""
    stated = yaml.safe_load((resources.files("ablations.conf") / "recipe" / "paper.yaml").read_text())
    ours = {"defaults", "name", "evaluate_every", "nesterov", "weight_decay_on", "bn_momentum", "bn_statistics"}
    return {key: value for key, value in stated.items() if key not in ours} | {"bn_group": 64}


def _plain(value) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return "/".join(map(_plain, value))
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)


def _provenance(records: list[dict]) -> str:
    parts = {
        "device": {record["device"] for record in records},
        "commit": {record["commit"][:12] + ("+" if record["commit"].endswith("+") else "") for record in records},
        "jax": {record["versions"]["jax"] for record in records},
    }
    return "; ".join(f"{name} {', '.join(sorted(values))}" for name, values in parts.items() if values)


def verdict(line: Line, table: Table) -> str:
    """Whether ours agrees with the paper: the same side of "fail", then the same rank among the rows that are run."""
    if line.paper is None:
        return ""
    if line.fails != line.paper_fails:
        return "differs: ours fails" if line.fails else "differs: the paper's fails"
    if line.fails:
        return "agrees: fails"
    paper, ours = _rank(line, table, _paper_key), _rank(line, table, _our_key)
    return f"agrees: rank {ours}" if paper == ours else f"agrees, rank {ours}, the paper's {paper}"


def _paper_key(line: Line) -> float:
    return float("inf") if line.paper_fails else float(line.paper)


def _our_key(line: Line) -> float:
    return float("inf") if line.fails else line.median


def _compared(table: Table) -> list[Line]:
    return [line for line in table.lines if line.n and line.paper is not None]


def _rank(line: Line, table: Table, key) -> int:
    return 1 + sum(key(other) < key(line) for other in _compared(table))


def kendall_tau(table: Table) -> tuple[float | None, int]:
    """Kendall's tau-b between the paper's order and ours, and the number of rows; all "fail" are tied.

    None where one of the two orders has nothing but ties.
    """
    lines = _compared(table)
    concordant = discordant = paper_pairs = our_pairs = 0
    for one, other in combinations(lines, 2):
        paper = _sign(_paper_key(one), _paper_key(other))
        ours = _sign(_our_key(one), _our_key(other))
        paper_pairs, our_pairs = paper_pairs + bool(paper), our_pairs + bool(ours)
        concordant, discordant = concordant + (paper * ours > 0), discordant + (paper * ours < 0)
    if not paper_pairs or not our_pairs:
        return None, len(lines)
    return (concordant - discordant) / (paper_pairs * our_pairs) ** 0.5, len(lines)


def _sign(one: float, other: float) -> int:
    return (one > other) - (one < other)
