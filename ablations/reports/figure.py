"""A study's figures from the records and metrics of its runs.

What a figure shows is data, in the study's file (`study.Figure`); how it looks is in style.py.
"""

import math
import statistics
from itertools import takewhile
from typing import Any

from ablations.config.study import Figure, Study
from ablations.errors import UserError
from ablations.reports import style
from ablations.runs.record import FAIL_PERCENT, failed, read_metrics
from ablations.tables import table

NONE_RUN = "none of its rows is run"


def draw(figure: Figure, study: Study, records: list[dict], form: str, *, captioned: bool = True) -> bytes:
    """The figure as a file of that format.

    Raises UserError where none of its rows is run, or where the runs of a row differ in more than their seed.
    """
    runs = runs_of(figure, records)
    done = [record for of in runs.values() for record in of]
    if not done:
        raise UserError(f"figure {figure.name}: {NONE_RUN}; ablations train study={study.name} runs them")
    made = table.make(study, done)
    medians = {line.row.name: line.median for line in made.lines}
    with style.applied():
        drawn, axes = style.panels(len(figure.panels))
        losses = None
        for panel, of_panel in zip(figure.panels, axes, strict=True):
            of_rows = {row: runs[row] for row in panel.rows}
            if figure.kind == "curves":
                losses = _curves(of_panel, of_rows, medians, losses)
            else:
                _against(of_panel, of_rows, figure)
            style.error_axis(of_panel, fails=any(map(failed, done)))
            # The points of a figure "against" that are not run are too many for a legend: the caption has them.
            missing = [f"{row}: not run" for row, of in of_rows.items() if not of and figure.kind == "curves"]
            style.legend(of_panel, panel.title, missing=missing)
        text = f"{figure.caption}. {made.settings}. {caption(figure, records)}"
        style.finish(drawn, caption=text if captioned else "")
        about = f"{made.settings}. {made.departures} {made.provenance}"
        return style.render(drawn, form, title=figure.caption, description=about)


def runs_of(figure: Figure, records: list[dict]) -> dict[str, list[dict]]:
    """The rows of a figure, in order, each with its runs."""
    runs = {row: [] for panel in figure.panels for row in panel.rows}
    for record in records:
        row = record["row"].split(",")[0]
        if row in runs:
            runs[row].append(record)
    return runs


def caption(figure: Figure, records: list[dict]) -> str:
    """What one must know to read the figure, and what is not in it."""
    runs = runs_of(figure, records)
    done = [record for of in runs.values() for record in of]
    counts = sorted({len(of) for of in runs.values() if of})
    text = []
    if figure.kind == "curves":
        text.append("Dashed: training loss, left axis. Solid: test error, right axis; in brackets the last.")
    if counts == [1]:
        text.append("One seed a row: no band.")
    else:
        seeds = " to ".join(map(str, [counts[0], *counts[1:][-1:]]))
        text.append(f"Median of {seeds} seeds; band: lowest to highest error.")
    if any(map(failed, done)):
        text.append(f"Shaded, and compressed: above {FAIL_PERCENT:g} %, a fail.")
    if any(record["status"] == "diverged" for record in done):
        text.append("A run that diverged is drawn at 100 %.")
    if missing := [row for row, of in runs.items() if not of]:
        text.append(f"Not run: {_together(missing)}.")
    return " ".join(text)


def _together(rows: list[str]) -> str:
    """Rows by what their names begin with: conv1x1_relu_{0, -1}."""
    tails = {}
    for row in rows:
        head, line, tail = row.rpartition("_")
        tails.setdefault(head + line, []).append(tail)
    return ", ".join(
        f"{head}{{{', '.join(of)}}}" if head and of[1:] else ", ".join(map(head.__add__, of))
        for head, of in tails.items()
    )


def _curves(axes, runs: dict[str, list[dict]], medians: dict[str, float], losses=None):
    """Fig. 1, 3 and 6; the first row is the one that the others are compared with.

    losses: the left axes of another panel, to have the same scale. Returns the panel's left axes.
    """
    left, last = axes.twinx(), 1
    if losses:
        left.sharey(losses)
    for look, (row, of) in enumerate(runs.items()):
        if not of:
            continue
        curves = [_curve(record) for record in of]
        steps = sorted({step for curve in curves for step in curve})
        last = max([last, *steps])

        def over_seeds(key, worst, curves=curves, steps=steps):
            return _over_seeds([[curve.get(step, {}).get(key, worst) for curve in curves] for step in steps], worst)

        style.line(left, steps, over_seeds("train_loss", math.inf)[0], look, loss=True)
        median, *band = over_seeds("test_error_percent", 100.0)
        label = f"{row} ({_percent(medians[row])}, n = {len(of)})"
        style.line(axes, steps, median, look, label=label, band=band if len(curves) > 1 else None)
    style.step_axis(axes, last)
    style.loss_axis(left)
    left.yaxis.tick_left()
    left.yaxis.set_label_position("left")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    return left


def _curve(record: dict) -> dict[int, dict]:
    """The evaluations of a run, by step. A run may diverge before the first one."""
    try:
        curve = {line["step"]: line for line in read_metrics(record["folder"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record['folder'] / 'metrics.jsonl'} is damaged: {error}") from error
    if not curve and record["status"] != "diverged":
        raise UserError(f"{record['folder'] / 'metrics.jsonl'} is gone: train with force=true to make it anew")
    return curve


def _over_seeds(values: list[list[float]], worst: float) -> tuple[list[float], list[float], list[float]]:
    """Median, lowest and highest of each list of seeds' values; `worst` stands for what is not finite."""
    finite = [[value if math.isfinite(value) else worst for value in of] for of in values]
    return [statistics.median(of) for of in finite], [min(of) for of in finite], [max(of) for of in finite]


def _percent(median: float) -> str:
    return "diverged" if median == math.inf else f"{median:.2f} %"


def _against(axes, runs: dict[str, list[dict]], figure: Figure) -> None:
    """The error over a number of the configuration; runs without it are a level."""
    lines, rows = {}, {}
    for row, of in runs.items():
        for x, series in {_x_and_series(record["config"], figure) for record in of}:
            if x in lines.setdefault(series, {}):
                raise UserError(
                    f"figure {figure.name}: row {row} stands where another row does; let what tells them apart make a "
                    "line: add it to series"
                )
            lines[series][x] = [_error(record) for record in of]
            rows.setdefault(series, []).append(row)
    numbers = sorted({x for points in lines.values() for x in points if x is not None})
    if not numbers:
        raise UserError(f"figure {figure.name}: no run of its rows has a number {figure.x}")
    names = {series: _common(of) for series, of in rows.items()}
    if len(set(names.values())) < len(names) or not all(names.values()):
        names = {series: _name(series, lines) for series in lines}
    for look, (series, points) in enumerate(lines.items()):
        name = names[series]
        if None in points:
            (median,), *band = _over_seeds([points[None]], 100.0)
            style.level(axes, median, look, label=name, band=[of_one for (of_one,) in band])
        else:
            xs = sorted(points)
            median, *band = _over_seeds([points[x] for x in xs], 100.0)
            style.line(axes, xs, median, look, label=name, band=band)
    axes.set_xlabel(figure.label or figure.x)
    axes.set_xticks(numbers)


def _error(record: dict) -> float:
    return math.nan if record["status"] == "diverged" else record["test_error_percent"]


def _x_and_series(config: dict, figure: Figure) -> tuple[Any, tuple]:
    """Where a run stands, and the settings that make its line, as pairs."""
    x, series = _at(config, figure.x), []
    for part in figure.series:
        settings = _at(config, part)
        pairs = settings.items() if isinstance(settings, dict) else [("", settings)]
        keys = [(f"{part}.{key}".rstrip("."), key or part, _plain(value)) for key, value in pairs]
        series += [(name, value) for whole, name, value in keys if whole != figure.x]
    return x, tuple(series)


def _plain(value) -> str:
    return (" ".join(map(str, value)) or "nothing") if isinstance(value, list) else str(value)


def _at(config: dict, key: str) -> Any:
    value = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _common(rows: list[str]) -> str:
    """The words that the names of a line's rows begin with: exclusive_gating of exclusive_gating_0 and _-6."""
    words = [row.split("_") for row in rows]
    same = takewhile(lambda at: len(set(at)) == 1, zip(*words, strict=False))
    return "_".join(at[0] for at in same)


def _name(series: tuple, lines) -> str:
    """A line's name, where those of its rows are none: of its settings, those in which lines of the same kind differ."""
    name, *settings = series
    alike = [other for other in lines if other[0] == name]
    differing = [f"{key} {value}" for key, value in settings if any((key, value) not in other for other in alike)]
    return ", ".join([str(name[1]), *differing])
