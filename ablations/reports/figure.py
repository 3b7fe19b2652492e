"""A study's figures from the records and metrics of its runs.

What a figure shows is data in the study's file (`study.Figure`); style.py says how it looks.
"""

import math
import statistics
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any

from ablations.config.study import Figure, Panel, Study
from ablations.errors import UserError
from ablations.reports import masks, style
from ablations.runs.record import FAIL_PERCENT, UnreadableRecord, failed, setting_at
from ablations.tables import arithmetic, cells, table

NONE_RUN = "none of its rows is run"


def draw(
    figure: Figure,
    study: Study,
    records: list[dict],
    form: str,
    *,
    captioned: bool = True,
    unreadable: Sequence[UnreadableRecord] = (),
) -> bytes:
    """The figure as a file of this format. unreadable: records of the study that cannot be read; their rows say so.

    Raises UserError if none of its rows has runs, or if the runs of a row differ in more than their seed.
    """
    runs = runs_of(figure, records)
    done = [record for its_runs in runs.values() for record in its_runs]
    if not done:
        raise UserError(f"figure {figure.name}: {NONE_RUN}; ablations train study={study.name} runs them")
    made = table.make(study, done)
    if figure.kind == "masks":
        text = f"{figure.caption}. {made.settings}. {caption(figure, records)}"
        about = f"{made.settings}. {made.provenance}"
        return masks.draw(runs, form, title=figure.caption, caption=text if captioned else "", description=about)
    medians = {line.row.name: line.median for line in made.lines}
    without = table.unreadable_rows(study, unreadable)
    of = "validation" if all(record["config"]["data"]["split"] == "train_val" for record in done) else "test"
    with style.applied():
        drawn, axes = style.panels(len(figure.panels))
        losses = None
        for panel, panel_axes in zip(figure.panels, axes, strict=True):
            its_rows = {row: runs[row] for row in panel.rows}
            if figure.kind == "curves":
                losses = _curves(panel_axes, its_rows, medians, losses)
            else:
                {"against": _against, "points": _points}[figure.kind](panel_axes, its_rows, figure)
            style.error_axis(panel_axes, fails=any(map(failed, done)), of=of)
            # A figure "against" a number has too many points for a legend: its caption names those that are not run.
            missing = [row for row, its_runs in its_rows.items() if not its_runs and figure.kind == "curves"]
            missing = [f"{row}: {'not readable' if row in without else 'not run'}" for row in missing]
            style.legend(panel_axes, panel.title, missing=missing)
        text = f"{figure.caption}. {made.settings}. {caption(figure, records, without)}"
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


def curves(study: Study, records: list[dict]) -> tuple[Figure, list[dict]]:
    """The curves of all rows that were run, for runs without a figure in a study's file; and the records to draw it with."""
    # In a figure a comma ends the name of a row; the settings that a command added follow it.
    named = [record | {"row": study.row_of(record["row"]).replace(",", " ")} for record in records]
    rows = tuple(dict.fromkeys(record["row"] for record in named))
    return Figure("curves", "curves", "Training", (Panel("", rows),)), named


def caption(figure: Figure, records: list[dict], unreadable: Collection[str] = ()) -> str:
    """How to read the figure, and which rows it lacks. unreadable: rows of which a record cannot be read."""
    runs = runs_of(figure, records)
    done = [record for its_runs in runs.values() for record in its_runs]
    counts = sorted({len(its_runs) for its_runs in runs.values() if its_runs})
    text = []
    if figure.kind == "curves":
        text.append("Dashed: training loss, left axis. Solid: test error, right axis; in brackets the last.")
    if figure.kind == "masks":
        text.append(masks.CAPTION)
    elif counts == [1] and figure.kind == "points":
        text.append("One seed a row.")
    elif counts == [1]:
        text.append("One seed a row: no band.")
    else:
        seeds = " to ".join(map(str, [counts[0], *counts[1:][-1:]]))
        band = "bar" if figure.kind == "points" else "band"
        text.append(f"Median of {seeds} seeds; {band}: lowest to highest error.")
    if any(map(failed, done)) and figure.kind != "masks":
        text.append(f"Shaded, and compressed: above {FAIL_PERCENT:g} %, a fail.")
    if any(record["status"] == "diverged" for record in done) and figure.kind != "masks":
        text.append("A run that diverged is drawn at 100 %.")
    missing = [row for row, its_runs in runs.items() if not its_runs]
    if not_run := [row for row in missing if row not in unreadable]:
        text.append(f"Not run: {cells.together(not_run)}.")
    if not_readable := [row for row in missing if row in unreadable]:
        text.append(f"Not readable: {cells.together(not_readable)}.")
    return " ".join([*text, *arithmetic.mixed(runs, {})])


def _curves(axes, runs: dict[str, list[dict]], medians: dict[str, float], losses=None):
    """Figs. 1, 3 and 6; the first row is the one with which the others are compared.

    losses: the left axes of another panel, whose scale is shared. Returns this panel's left axes.
    """
    left, last = axes.twinx(), 1
    if losses:
        left.sharey(losses)
    for look, (row, its_runs) in enumerate(runs.items()):
        if not its_runs:
            continue
        curves = [_curve(record) for record in its_runs]
        steps = sorted({step for curve in curves for step in curve})
        last = max([last, *steps])

        def over_seeds(key, worst, curves=curves, steps=steps):
            return _over_seeds([[curve.get(step, {}).get(key, worst) for curve in curves] for step in steps], worst)

        style.line(left, steps, over_seeds("train_loss", math.inf)[0], look, loss=True)
        median, *band = over_seeds("test_error_percent", 100.0)
        label = f"{row} ({_percent(medians[row])}, n = {len(its_runs)})"
        style.line(axes, steps, median, look, label=label, band=band if len(curves) > 1 else None)
    style.step_axis(axes, last)
    style.loss_axis(left)
    left.yaxis.tick_left()
    left.yaxis.set_label_position("left")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    return left


def _curve(record: dict) -> dict[int, dict]:
    """The evaluations of a run, by step; none if it diverged before the first."""
    try:
        curve = {line["step"]: line for line in record["folder"].metrics()}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record['folder'].metrics_file} is damaged: {error}") from error
    if not curve and record["status"] != "diverged":
        raise UserError(f"{record['folder'].metrics_file} is gone: train again with force=true")
    return curve


def _over_seeds(values: list[list[float | None]], worst: float) -> tuple[list[float], list[float], list[float]]:
    """Median, lowest and highest of the seeds' values at each x; `worst` replaces values that are not finite."""
    finite = [[worst if value is None or not math.isfinite(value) else value for value in at_x] for at_x in values]
    return [statistics.median(at_x) for at_x in finite], [min(at_x) for at_x in finite], [max(at_x) for at_x in finite]


def _percent(median: float) -> str:
    return "diverged" if median == math.inf else f"{median:.2f} %"


def _against(axes, runs: dict[str, list[dict]], figure: Figure) -> None:
    """The error over a number of the configuration; rows without that number are horizontal lines."""
    lines, rows = {}, {}
    for row, its_runs in runs.items():
        for x, series in {_x_and_series(record["config"], figure) for record in its_runs}:
            if x in lines.setdefault(series, {}):
                raise UserError(
                    f"figure {figure.name}: row {row} has the same point as another row; add the setting that "
                    "tells them apart to series, so that they are two lines"
                )
            lines[series][x] = [_error(record) for record in its_runs]
            rows.setdefault(series, []).append(row)
    numbers = sorted({x for points in lines.values() for x in points if x is not None})
    if not numbers:
        raise UserError(f"figure {figure.name}: no run of its rows has a number {figure.x}")
    names = {series: _common(its_runs) for series, its_runs in rows.items()}
    if len(set(names.values())) < len(names) or not all(names.values()):
        names = {series: _name(series, lines) for series in lines}
    for look, (series, points) in enumerate(lines.items()):
        name = names[series]
        if None in points:
            (median,), *band = _over_seeds([points[None]], 100.0)
            style.level(axes, median, look, label=name, band=[end for (end,) in band])
        else:
            xs = sorted(points)
            median, *band = _over_seeds([points[x] for x in xs], 100.0)
            style.line(axes, xs, median, look, label=name, band=band)
    style.number_axis(axes, numbers, figure.label or figure.x, scale=figure.x_scale)


def _points(axes, runs: dict[str, list[dict]], figure: Figure) -> None:
    """The error of each row over a number of its configuration; rows without that number are left out."""
    points = []
    for its_runs in runs.values():
        x = setting_at(its_runs[0]["config"], figure.x) if its_runs else None
        if isinstance(x, int | float):
            points.append((x, *_over_seeds([[_error(record) for record in its_runs]], 100.0)))
    if not points:
        raise UserError(f"figure {figure.name}: no run of its rows has a number {figure.x}")
    xs, medians, lows, highs = ([point[i] for point in points] for i in range(4))
    style.points(axes, xs, *([end for (end,) in ends] for ends in (medians, lows, highs)))
    style.range_axis(axes, figure.label or figure.x, scale=figure.x_scale)


def _error(record: dict) -> float:
    return math.nan if record["status"] == "diverged" else record["test_error_percent"]


def _x_and_series(config: dict, figure: Figure) -> tuple[Any, tuple]:
    """The x of a run, and the settings that define its line, as pairs."""
    x, series = setting_at(config, figure.x), []
    for part in figure.series:
        settings = setting_at(config, part)
        pairs = settings.items() if isinstance(settings, dict) else [("", settings)]
        keys = [(f"{part}.{key}".rstrip("."), key or part, _plain(value)) for key, value in pairs]
        series += [(name, value) for whole, name, value in keys if whole != figure.x]
    return x, tuple(series)


def _plain(value) -> str:
    return (" ".join(map(str, value)) or "nothing") if isinstance(value, list) else str(value)


def _common(rows: list[str]) -> str:
    """The words with which all names begin: exclusive_gating for exclusive_gating_0 and exclusive_gating_-6."""
    words = [row.split("_") for row in rows]
    same = takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False))
    return "_".join(words[0] for words in same)


def _name(series: tuple, lines) -> str:
    """A line's name from its settings: those in which it differs from lines of the same kind."""
    name, *settings = series
    alike = [other for other in lines if other[0] == name]
    differing = [f"{key} {value}" for key, value in settings if any((key, value) not in other for other in alike)]
    return ", ".join([str(name[1]), *differing])
