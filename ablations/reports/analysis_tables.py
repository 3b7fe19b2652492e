"""Probes, lesions and landscapes as tables; needs neither JAX nor NumPy."""

import statistics
from dataclasses import dataclass

from ablations.config.study import Study
from ablations.runs.record import short_commit

NONE = "-"
SHOWN = 12  # how many of a network's units the table of a run shows


@dataclass(frozen=True)
class Grid:
    """rows: cells in the order of the header; the first is the row's name."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]

    @property
    def cells(self) -> list[dict[str, str]]:
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]


def of_run(kind: str, measurement: dict) -> Grid:
    """The table of one network."""
    return {"probe": _probe_of_run, "lesion": _lesion_of_run, "landscape": _landscape_of_run}[kind](measurement)


def of_study(kind: str, study: Study, measurements: list[dict]) -> Grid:
    """A line for each row of a study; a note names the rows that are not measured."""
    makers = {"probe": _probe_of_study, "lesion": _lesion_of_study, "landscape": _landscape_of_study}
    made = makers[kind](study, measurements)
    measured = {measurement["row"].partition(",")[0] for measurement in measurements}
    if missing := [row.name for row in study.rows if row.name not in measured]:
        made.notes.append(f"Not measured: {', '.join(missing)}.")
    return made


def _probe_of_run(measured: dict) -> Grid:
    units = measured["units"]
    names = {
        "stage": "stage", "gradient": "|dE/dx|", "through_shortcuts": "by shortcuts", "through_weights": "by weights",
        "product": "product", "predicted": "Eqn. 8", "x_std": "std x", "residual_std": "std F", "ratio": "F / x",
        "negative": "y < 0", "cut_off": "cut off", "kept": "1 - g",
    }  # fmt: skip
    names = {key: name for key, name in names.items() if key in units}
    rows = [(str(i + 1), *(short(units[key][i]) for key in names)) for i in _some(units["stage"])]
    notes = [
        f"E = {measured['loss']:.4f}, of {measured['asked']['images']} training images, {WHEN[measured['at']]}.",
        "by shortcuts, by weights: the norms of the two parts of dE/dx (Eqn. 5). product: that by shortcuts, over what h alone "
        "would let through; Eqn. 8: what the numbers on the shortcuts before training predict for it.",
    ]
    return Grid(f"Probe of {measured['name']}", ("unit", *names.values()), rows, [*notes, about([measured])])


WHEN = {"start": "before training", "end": "after training", "on the way": "on the way"}


def _probe_of_study(study: Study, measurements: list[dict]) -> Grid:
    header = (
        "row", "test error", "|dE/dx_1| / |dE/dx_L|", "by shortcuts", "product", "Eqn. 8", "std x_1, x_L", "F / x", "cut off",
        "1 - g",
    )  # fmt: skip
    rows = []
    for measured in measurements:
        units = measured["units"]
        gradient, by_shortcuts = units["gradient"], units["through_shortcuts"]
        rows.append(
            (
                measured["row"],
                f"{measured['test_error_percent']:.2f}" if measured["test_error_percent"] is not None else NONE,
                short(divide(gradient[0], gradient[-1])),
                short(divide(by_shortcuts[0], gradient[0])),
                short(units["product"][0] if "product" in units else None),
                short(units["predicted"][0] if "predicted" in units else None),
                f"{short(units['x_std'][0])}, {short(units['x_std'][-1])}",
                middle(units.get("ratio")),
                middle(units.get("cut_off")),
                middle(units.get("kept")),
            )
        )
    notes = [
        f"{WHEN[measurements[0]['at']].capitalize()}, {measurements[0]['asked']['images']} training images. x_1 and x_L: the inputs of the first and of the last unit.",
        "by shortcuts: the share of |dE/dx_1| that comes through shortcuts alone. product: what is left of a gradient on its way "
        "through all shortcuts and f; Eqn. 8: the product predicted before training, without f.",
        "F / x (std of F(x) by std of x), cut off (the share of y_l that f's ReLU cuts off), 1 - g: the median over the units.",
    ]
    return Grid(f"Probe of {study.name}: {study.question}", header, rows, [*notes, about(measurements)])


def _lesion_of_run(measured: dict) -> Grid:
    rows = []
    for i, deleted in enumerate(measured["deletions"]):
        swapped, taus = (measured["swaps"][i], measured["taus"][i]) if measured["swaps"] else ([], [])
        rows.append((str(i + 1), spread(deleted), spread(swapped), middle(taus)))
    single, changing = measured["without_unit"], measured["changing"]
    worst = sorted((i for i, error in enumerate(single) if error is not None), key=lambda i: -single[i])[:5]
    others = [error for i, error in enumerate(single) if error is not None and i + 1 not in changing]
    notes = [
        f"Test error in percent: median (lowest to highest) of {measured['asked']['draws']} draws. Whole network: "
        f"{measured['whole']:.2f} %.",
        f"Without a single unit: {spread(others)}; highest without unit "
        + ", ".join(f"{i + 1} ({single[i]:.2f} %)" for i in worst)
        + "".join(f"; unit {unit} changes the shape: {_error(single[unit - 1])}" for unit in changing)
        + ".",
        f"Gradient: {_path_range(measured['path_shares'])}, of up to {len(single)}.",
    ]
    header = ("k", "k units deleted", "k pairs swapped", "tau")
    if not rows:  # every unit changes the shape of x, as in a DenseNet
        header, rows = ("unit", "without its F"), [(str(i + 1), _error(error)) for i, error in enumerate(single)]
        notes[1] = "Every unit changes the shape of x: it can only lose its F, and no two can be swapped."
    return Grid(f"Lesions of {measured['name']}", header, rows, [*notes, about([measured])])


def _lesion_of_study(study: Study, measurements: list[dict]) -> Grid:
    header = (
        "row", "whole", "one deleted", "highest, at unit", "shape changes", "one F deleted", "5 deleted", "10 deleted",
        "20 deleted", "20 swapped", "paths",
    )  # fmt: skip
    rows = []
    for measured in measurements:
        single, residual = measured["without_unit"], measured["without_residual"]
        same = [i for i, error in enumerate(single) if i + 1 not in measured["changing"]]
        worst = max(same, key=lambda i: single[i], default=None)
        rows.append(
            (
                measured["row"],
                f"{measured['whole']:.2f}",
                _halfway([single[i] for i in same]),
                NONE if worst is None else f"{single[worst]:.2f}, {worst + 1}",
                ", ".join(_error(single[unit - 1]).removesuffix(" %") for unit in measured["changing"]),
                _halfway([residual[i] for i in same]),
                *(_median(measured["deletions"], size) for size in (5, 10, 20)),
                _median(measured["swaps"], 20),
                _path_range(measured["path_shares"]).removeprefix("90 % of it along paths of "),
            )
        )
    notes = [
        "Test error in percent; of the random ones, and of one deleted, the median. One deleted: of all units that do not "
        "change the shape of x; one F deleted: their shortcut stays.",
        "paths: the lengths in units that carry the middle 90 % of the gradient.",
    ]
    return Grid(f"Lesions of {study.name}: {study.question}", header, rows, [*notes, about(measurements)])


def _landscape_of_run(measured: dict) -> Grid:
    rows = []
    for i, distance in enumerate(measured["distances"]):
        losses = [line[i] for line in measured["lines"]]
        finite = sorted(loss for loss in losses if loss is not None)
        shown = (
            (short(loss) for loss in (finite[0], statistics.median(finite), finite[-1]))
            if finite
            else ["not finite"] * 3
        )
        rows.append((f"{distance:.1f}", *shown))
    notes = [
        f"Training loss of {measured['asked']['images']} images along {len(measured['lines'])} random filter-normalised directions; "
        "0 is the solution, at 1 a filter is as far away as it is long.",
        *gap(measured),
    ]
    return Grid(
        f"Landscape of {measured['name']}",
        ("distance", "lowest", "median", "highest"),
        rows,
        [*notes, about([measured])],
    )


def gap(measured: dict) -> list[str]:
    """Training error against test error, if the run has metrics."""
    if not measured["metrics"]:
        return []
    last = measured["metrics"][-1]
    return [
        f"At the solution: training error {measured['error_percent']:.2f} % (loss {short(measured['loss'])}), test error "
        f"{last['test_error_percent']:.2f} % (loss {short(last['test_loss'])}): a gap of "
        f"{last['test_error_percent'] - measured['error_percent']:.2f} points."
    ]


def _landscape_of_study(study: Study, measurements: list[dict]) -> Grid:
    header = (
        "row",
        "training loss",
        "test loss",
        "training error",
        "test error",
        "gap",
        "loss at 0.2",
        "at 0.5",
        "at 1",
    )
    rows = []
    for measured in measurements:
        last = (
            measured["metrics"][-1]
            if measured["metrics"]
            else {"test_loss": None, "test_error_percent": measured["test_error_percent"]}
        )
        rows.append(
            (
                measured["row"],
                short(measured["loss"]),
                short(last["test_loss"]),
                f"{measured['error_percent']:.2f}",
                f"{last['test_error_percent']:.2f}",
                f"{last['test_error_percent'] - measured['error_percent']:.2f}",
                *(short(away(measured, distance)) for distance in (0.2, 0.5, 1.0)),
            )
        )
    notes = [
        f"Errors in percent. Training loss and error: of {measurements[0]['asked']['images']} training images, not augmented, in the mode of "
        "a test. gap: test error less training error, in points.",
        "loss at a distance: the median training loss over all directions, on both sides, filter-normalised.",
    ]
    return Grid(f"Landscape of {study.name}: {study.question}", header, rows, [*notes, about(measurements)])


def away(measured: dict, distance: float) -> float | None:
    """The median loss at this distance from the solution, over all directions and both sides; None if it is not finite."""
    distances = [abs(signed) for signed in measured["distances"]]
    nearest = min(abs(other - distance) for other in distances)
    at = [i for i, other in enumerate(distances) if abs(abs(other - distance) - nearest) < 1e-9]
    losses = [line[i] for line in measured["lines"] for i in at]
    losses = sorted(float("inf") if loss is None else loss for loss in losses)
    median = statistics.median(losses)
    return median if median != float("inf") else None


def _median(by_size: list, size: int) -> str:
    return _halfway(by_size[size - 1]) if len(by_size) >= size else NONE


def _halfway(errors: list[float]) -> str:
    return f"{statistics.median(errors):.2f}" if errors else NONE


def _error(error: float | None) -> str:
    return "cannot be deleted" if error is None else f"{error:.2f} %"


def _path_range(shares: list[float]) -> str:
    """The lengths of the paths that carry the middle 90 % of the gradient."""
    if not sum(shares):
        return "none of it is above what float32 holds"
    total, first, last = 0.0, None, None
    for length, share in enumerate(shares):
        total += share
        first = length if first is None and total >= 0.05 else first
        last = length if last is None and total >= 0.95 - 1e-9 else last
    return f"90 % of it along paths of {first} to {last} units"


def _some(stages: list[int]) -> list[int]:
    """The indices of some units, among them the first and the last of each stage."""
    last = len(stages) - 1
    ends = {i for i, stage in enumerate(stages) if i in (0, last) or stage != stages[i - 1] or stage != stages[i + 1]}
    return sorted(ends | {round(i * last / (SHOWN - 1)) for i in range(SHOWN)})


def divide(dividend: float | None, divisor: float | None) -> float | None:
    return dividend / divisor if dividend is not None and divisor else None


def about(measurements: list[dict]) -> str:
    """What the figures come from: network, data, recipe, device, commit."""
    first = measurements[0]["config"]
    recipe = first["recipe"]
    parts = {
        "device": {measured["device"] for measured in measurements},
        "commit": {short_commit(measured) for measured in measurements},
        "jax": {measured["versions"]["jax"] for measured in measurements},
    }
    text = f"{', '.join(sorted({measured['config']['model']['name'] for measured in measurements}))} on {first['data']['name']}, recipe "
    text += f"{recipe['name']}, {recipe['total_steps']:,} steps, seed {first['seed']}; "
    return text + "; ".join(f"{name} {', '.join(sorted(values))}" for name, values in parts.items())


def short(value) -> str:
    """A number with three digits."""
    return NONE if value is None else f"{value:.3g}"


def spread(errors) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(errors):.2f} ({min(errors):.2f} to {max(errors):.2f})" if errors else NONE


def middle(values: list | None) -> str:
    values = [value for value in values or () if value is not None]
    return short(statistics.median(values)) if values else NONE
