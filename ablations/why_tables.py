"""What the measurements of `why` say, as tables; they need neither JAX nor numpy."""

import statistics
import sys
from dataclasses import dataclass

from ablations.study import Study

NONE = "-"
SHOWN = 12  # of a network's units, in the table of one run


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]


def of_run(kind: str, measurement: dict) -> Table:
    """The table of one network."""
    return {"probe": _probe_of_run}[kind](measurement)


def of_study(kind: str, study: Study, measurements: list[dict]) -> Table:
    """A line a row of a study; what is not measured is said to be so."""
    made = {"probe": _probe_of_study}[kind](study, measurements)
    measured = {one["row"] for one in measurements}
    missing = [
        (row.name, "not measured", *[""] * (len(made.header) - 2)) for row in study.rows if row.name not in measured
    ]
    made.rows.extend(missing)
    return made


def _probe_of_run(found: dict) -> Table:
    units = found["units"]
    names = {
        "stage": "stage", "gradient": "|dE/dx|", "through_shortcuts": "by shortcuts", "through_weights": "by weights",
        "product": "product", "predicted": "Eqn. 8", "x_std": "std x", "residual_std": "std F", "ratio": "F / x",
        "negative": "y < 0", "cut_off": "cut off", "kept": "1 - g",
    }  # fmt: skip
    names = {key: name for key, name in names.items() if key in units}
    rows = [(str(i + 1), *(short(units[key][i]) for key in names)) for i in _some(units["stage"])]
    notes = [
        f"E = {found['loss']:.4f}, of {found['asked']['images']} training images, {WHEN[found['at']]}.",
        "by shortcuts, by weights: the norms of the two parts of dE/dx (Eqn. 5). product: that by shortcuts, over what h alone "
        "would let through; Eqn. 8: what the numbers on the shortcuts before training predict for it.",
    ]
    return Table(f"Probe of {found['name']}", ("unit", *names.values()), rows, [*notes, about([found])])


WHEN = {"start": "before training", "end": "after training", "on the way": "on the way"}


def _probe_of_study(study: Study, found: list[dict]) -> Table:
    header = (
        "row", "test error", "|dE/dx_1| / |dE/dx_L|", "by shortcuts", "product", "Eqn. 8", "std x_1, x_L", "F / x", "cut off",
        "1 - g",
    )  # fmt: skip
    rows = []
    for one in found:
        units = one["units"]
        gradient, by_shortcuts = units["gradient"], units["through_shortcuts"]
        rows.append(
            (
                one["row"],
                f"{one['test_error_percent']:.2f}",
                short(divide(gradient[0], gradient[-1])),
                short(divide(by_shortcuts[0], gradient[0])),
                short(units["product"][0] if "product" in units else None),
                short(units["predicted"][0] if "predicted" in units else None),
                f"{short(units['x_std'][0])}, {short(units['x_std'][-1])}",
                _middle(units.get("ratio")),
                _middle(units.get("cut_off")),
                _middle(units.get("kept")),
            )
        )
    notes = [
        f"After training, {found[0]['asked']['images']} training images. x_1 and x_L: the inputs of the first and of the last unit.",
        "by shortcuts: the share of |dE/dx_1| that comes through shortcuts alone. product: what is left of a gradient on its way "
        "through all shortcuts and f; Eqn. 8: the product predicted before training, without f.",
        "F / x (std of F(x) by std of x), cut off (the share of y_l that f's ReLU cuts off), 1 - g: the median over the units.",
    ]
    return Table(f"Probe of {study.name}: {study.question}", header, rows, [*notes, about(found)])


def _some(stages: list[int]) -> list[int]:
    """Some of the units, the first and the last of each stage among them."""
    last = len(stages) - 1
    ends = {i for i, stage in enumerate(stages) if i in (0, last) or stage != stages[i - 1] or stage != stages[i + 1]}
    return sorted(ends | {round(i * last / (SHOWN - 1)) for i in range(SHOWN)})


def _middle(values: list | None) -> str:
    values = [value for value in values or () if value is not None]
    return short(statistics.median(values)) if values else NONE


def divide(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def short(value) -> str:
    """Three digits."""
    return NONE if value is None else f"{value:.3g}"


def about(found: list[dict]) -> str:
    """Where the figures come from."""
    first = found[0]["config"]
    recipe = first["recipe"]
    parts = {
        "device": {one["device"] for one in found},
        "commit": {one["commit"][:12] + ("+" if one["commit"].endswith("+") else "") for one in found},
        "jax": {one["versions"]["jax"] for one in found},
    }
    text = f"{', '.join(sorted({one['config']['model']['name'] for one in found}))} on {first['data']['name']}, recipe "
    text += f"{recipe['name']}, {recipe['total_steps']:,} steps, seed {first['seed']}; "
    return text + "; ".join(f"{name} {', '.join(sorted(values))}" for name, values in parts.items())


def show(made: Table) -> None:
    """Print to the terminal."""
    import shutil

    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=None if sys.stdout.isatty() else max(shutil.get_terminal_size((132, 24)).columns, 132))
    console.print(made.title + "\n", style="bold", highlight=False)
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(made.header):
        grid.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in made.rows:
        grid.add_row(*row)
    console.print(grid)
    console.print()
    for note in made.notes:
        console.print(note, highlight=False)


def markdown(made: Table) -> str:
    text = ["| " + " | ".join(row) + " |" for row in (made.header, *made.rows)]
    text.insert(1, "|" + "|".join(" --- " for _ in made.header) + "|")
    notes = [part for note in made.notes for part in (note, "")][:-1]
    return "\n".join([f"**{made.title}**", "", *text, "", *notes]) + "\n"
