"""Probes, lesions and landscapes as figures, in the style of the studies' figures."""

import math
import statistics

from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ablations.config.study import Study
from ablations.reports import style
from ablations.reports.analysis_tables import WHEN, about, gap
from ablations.runs.record import FAIL_PERCENT

STUDY_INCHES = 10.0  # the width, with the rows' names beside the panels
LINES = 8  # rows in one panel, as many as there are looks


def of_run(kind: str, measured: dict, form: str) -> bytes:
    """The figure of one network, as a file of this format."""
    draw = {"probe": _probe, "lesion": _lesion, "landscape": _landscape}[kind]
    with style.applied():
        figure, caption = draw(measured)
        return _finished(figure, f"{kind.capitalize()} of {measured['name']}. {caption} {about([measured])}.", form)


def of_study(
    kind: str, study: Study, measurements: list[dict], form: str, *, captioned: bool = True
) -> tuple[bytes, str]:
    """The figure of a study's rows, as a file of this format, and its caption, which the file has only if captioned."""
    draw = {"probe": _probes, "lesion": _lesions, "landscape": _landscapes}[kind]
    rows = [study.row_of(measured["row"]) for measured in measurements]
    if len(set(rows)) == len(rows):  # without the settings of the command, which would crowd out the axes
        measurements = [measured | {"row": row} for measured, row in zip(measurements, rows, strict=True)]
    with style.applied():
        figure, caption = draw(measurements)
        figure.set_figwidth(STUDY_INCHES)
        caption = f"{kind.capitalize()} of {study.name}. {caption} {about(measurements)}."
        return _finished(figure, caption, form, captioned), caption


def _finished(figure, caption: str, form: str, captioned: bool = True) -> bytes:
    style.finish(figure, caption=caption if captioned else "")
    return style.render(figure, form, title=caption.partition(".")[0], description=caption)


def _units(axes, series: dict[str, list | None], title: str, *, log: bool) -> None:
    """Lines over the units; a log axis leaves out zeros."""
    for look, (name, values) in enumerate(series.items()):
        if values:
            shown = [math.nan if value is None or (log and value <= 0) else value for value in values]
            style.line(axes, range(1, len(shown) + 1), shown, look, label=name)
    if log:
        _log(axes)
    axes.set_xlabel("unit l")
    axes.grid(axis="y")
    style.legend(axes, title)


def _log(axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,), numticks=8))
    if high < 300 * low:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _probe(measured: dict):
    along = measured["along"]
    gated = "kept" in measured["units"]
    figure, axes = style.panels(4 + (1 + gated if along else 0))
    units = measured["units"]
    gradients = {
        "|dE/dx|": units["gradient"],
        "through shortcuts alone": units["through_shortcuts"],
        "through weights": units["through_weights"],
    }
    _units(axes[0], gradients, "Gradient", log=True)
    products = {"measured": units["product"], "Eqn. 8, before training": units.get("predicted")}
    _units(axes[1], products, "Product on the shortcuts, from l to L", log=True)
    stds = {"std of x": units["x_std"], "std of F(x)": units["residual_std"]}
    _units(axes[2], stds, "Signal", log=True)
    shares = {"cut off by f": units.get("cut_off"), "1 - g(x)": units.get("kept")}
    _units(axes[3], {"y < 0": units["negative"]} | shares, "Shares", log=False)
    axes[3].set_ylim(0, 1)
    if along:
        steps = [f"step {line['step']}" for line in along]
        gradients = [line["gradient"] for line in along]
        _heat(figure, axes[4], steps, gradients, "|dE/dx| along training", _log_norm(gradients))
        if gated:
            _heat(figure, axes[5], steps, [line["kept"] for line in along], "1 - g(x) along training", Normalize(0, 1))
    return figure, f"{measured['asked']['images']} training images, {WHEN[measured['at']]}."


def _heat(figure, axes, names: list[str], rows: list[list], title: str, norm) -> None:
    """A field for each row and unit; what is missing, zero or not finite is grey."""
    import numpy as np

    longest = max(map(len, rows))
    values = [
        [math.nan if value is None else value for value in row] + [math.nan] * (longest - len(row)) for row in rows
    ]
    shown = np.ma.masked_invalid(np.asarray(values, float))
    if isinstance(norm, LogNorm):
        shown = np.ma.masked_less_equal(shown, 0)
    import matplotlib

    colours = matplotlib.colormaps["cividis"].with_extremes(bad=style.GRID)
    image = axes.imshow(
        shown,
        norm=norm,
        cmap=colours,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, longest + 0.5, len(rows), 0),
    )
    axes.set_yticks([i + 0.5 for i in range(len(rows))], names, fontsize=5.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("unit l")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, pad=0.02)


def _log_norm(rows: list[list]) -> LogNorm:
    positive = [value for row in rows for value in row if value]
    return LogNorm(min(positive, default=0.1), max(positive, default=1))


def _probes(measurements: list[dict]):
    figure, axes = style.panels(4)
    names = [measured["row"] for measured in measurements]
    products = [measured["units"]["product"] for measured in measurements]
    _heat(figure, axes[0], names, products, "Product on the shortcuts, from l to L", _log_norm(products))
    gradients = [
        [_over(value, measured["units"]["gradient"][-1]) for value in measured["units"]["gradient"]]
        for measured in measurements
    ]
    _heat(figure, axes[1], names, gradients, "|dE/dx_l| over |dE/dx_L|", _log_norm(gradients))
    stds = [measured["units"]["x_std"] for measured in measurements]
    _heat(figure, axes[2], names, stds, "std of x_l", _log_norm(stds))
    cut = [measured["units"].get("cut_off", [None] * len(measured["units"]["stage"])) for measured in measurements]
    _heat(figure, axes[3], names, cut, "Share of y_l that f = ReLU cuts off", Normalize(0, 1))
    return (
        figure,
        f"{measurements[0]['asked']['images']} training images, {WHEN[measurements[0]['at']]}. Grey: there is none, or it is 0 in float32.",
    )


def _over(value: float | None, last: float | None) -> float | None:
    return value / last if value is not None and last else None


def _band(axes, by_size: list[list[float]], look: int, label: str, *, band: bool) -> None:
    medians = [statistics.median(errors) for errors in by_size]
    span = ([min(errors) for errors in by_size], [max(errors) for errors in by_size]) if band else None
    style.line(axes, range(1, len(medians) + 1), medians, look, label=label, band=span)


def _lesion(measured: dict):
    figure, axes = style.panels(4)
    singles = {"without the unit": measured["without_unit"], "without its F": measured["without_residual"]}
    _units(axes[0], singles, "One unit deleted", log=False)
    axes[0].set_ylabel("test error (%)")
    if measured["deletions"]:
        _at_random(axes[1], axes[2], measured)
    else:  # every unit changes the shape of x
        for panel in axes[1:3]:
            panel.set_visible(False)
    units = len(measured["path_shares"]) - 1
    style.line(axes[3], range(units + 1), [math.comb(units, n) / 2**units for n in range(units + 1)], 0, label="paths")
    style.line(axes[3], range(units + 1), measured["path_shares"], 1, label="their gradient")
    axes[3].set_xlabel("length of a path in units")
    axes[3].set_ylabel("share")
    style.legend(axes[3], "Paths")
    draws, paths = measured["asked"]["draws"], measured["asked"]["paths"]
    return figure, (
        f"Lines: the median of {draws} draws; band: lowest to highest. Whole network: {measured['whole']:.2f} %. Units "
        f"{', '.join(map(str, measured['changing']))} change the shape. {paths} paths of each length."
    )  # fmt: skip


def _at_random(several, orders, measured: dict) -> None:
    """The panels of random deletions and swaps."""
    _band(several, measured["deletions"], 0, "k units deleted", band=True)
    if measured["swaps"]:
        _band(several, measured["swaps"], 1, "k pairs swapped", band=True)
    _percent(several, "k")
    style.legend(several, "Several units")
    taus, errors = ([value for draws in measured[key] for value in draws] for key in ("taus", "swaps"))
    orders.plot(taus, errors, "o", color=style.LOOKS[1][0], markerfacecolor="none", markersize=3, label="swaps")
    orders.invert_xaxis()
    _percent(orders, "Kendall's tau of the order with the trained one")
    style.legend(orders, "Order")


def _percent(axes, x: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel("test error (%)")
    axes.set_ylim(0, 100)
    axes.grid(axis="y")


def _lesions(measurements: list[dict]):
    names = [measured["row"] for measured in measurements]
    learned = [measured for measured in measurements if measured["whole"] <= FAIL_PERCENT]
    groups = _groups(learned)
    figure, axes = style.panels(2 + 2 * len(groups))
    for panel, key, title in zip(
        axes, ("without_unit", "without_residual"), ("Without unit l", "Without F of unit l"), strict=False
    ):
        _heat(
            figure,
            panel,
            names,
            [measured[key] for measured in measurements],
            f"{title}: test error (%)",
            Normalize(0, 100),
        )
    for panel, (key, title), group in zip(
        axes[2:],
        [kind for kind in (("deletions", "k units deleted"), ("swaps", "k pairs swapped")) for _ in groups],
        groups * 2,
        strict=True,
    ):
        for look, measured in enumerate(group):
            if measured[key]:
                _band(panel, measured[key], look, measured["row"], band=False)
        _percent(panel, "k")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        style.legend(panel, title)
    return figure, (
        f"Lines: the median of {measurements[0]['asked']['draws']} draws, of the rows that learn (test error at most {FAIL_PERCENT:g} %). "
        "Grey: cannot be deleted."
    )


def _groups(measurements: list[dict]) -> list[list[dict]]:
    return [measurements[i : i + LINES] for i in range(0, len(measurements), LINES)]


def _landscape(measured: dict):
    figure, axes = style.panels(3)
    for i, line in enumerate(measured["lines"]):
        style.line(axes[0], measured["distances"], _finite(line), 0, label=None if i else "a line each")
    _distance(axes[0], "Along random directions")
    _plane(axes[1], measured, "In a plane: log10 of the loss")
    _curve(axes[2], measured, 0, "training loss and test error")
    _curves(axes[2], "Along training")
    return figure, " ".join([f"{measured['asked']['images']} training images.", *gap(measured)])


def _finite(values: list) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _distance(axes, title: str) -> None:
    _log(axes)
    axes.set_xlabel("distance, filter-normalised")
    axes.set_ylabel("training loss")
    axes.grid(axis="y")
    style.legend(axes, title)


def _plane(axes, measured: dict, title: str) -> None:
    levels = [[math.nan if loss is None else math.log10(max(loss, 1e-12)) for loss in row] for row in measured["plane"]]
    drawn = axes.contour(
        measured["plane_distances"], measured["plane_distances"], levels, 10, cmap="cividis", linewidths=0.9
    )
    axes.clabel(drawn, fontsize=5.5)
    axes.plot([0], [0], "+", color=style.INK)
    axes.set_title(title)


def _curve(axes, measured: dict, look: int, label: str) -> None:
    losses, errors = (
        _finite([line[key] for line in measured["metrics"]]) for key in ("train_loss", "test_error_percent")
    )
    style.line(axes, losses, errors, look, label=label)


def _curves(axes, title: str) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    _percent(axes, "training loss")
    style.legend(axes, title)


def _landscapes(measurements: list[dict]):
    groups, best = _groups(measurements), {}
    for measured in measurements:  # the best row of each kind
        kind = (
            measured["config"]["shortcut"]["name"],
            measured["config"]["activation"]["name"],
            measured["config"]["model"]["name"],
        )
        if kind not in best or measured["test_error_percent"] < best[kind]["test_error_percent"]:
            best[kind] = measured
    figure, axes = style.panels(2 * len(groups) + len(best))
    for i, group in enumerate(groups):
        for look, measured in enumerate(group):
            _curve(axes[2 * i], measured, look, measured["row"])
            medians = [_median([line[k] for line in measured["lines"]]) for k in range(len(measured["distances"]))]
            style.line(axes[2 * i + 1], measured["distances"], medians, look, label=measured["row"])
        _curves(axes[2 * i], "Along training, left to right")
        _distance(axes[2 * i + 1], "Along random directions: the median")
    for panel, measured in zip(axes[2 * len(groups) :], best.values(), strict=True):
        _plane(panel, measured, f"{measured['row']}: log10 of the loss")
    return (
        figure,
        f"{measurements[0]['asked']['images']} training images; {len(measurements[0]['lines'])} directions, and the plane of two.",
    )


def _median(losses: list[float | None]) -> float:
    finite = [loss for loss in losses if loss is not None]
    return statistics.median(finite) if len(finite) == len(losses) else math.nan
