"""Figures from runs with known numbers, and from the records of results/."""

import json
import statistics
import subprocess
import sys

import pytest

from ablations.cli import figure as cli_figure
from ablations.config import study
from ablations.config.study import Figure, Panel
from ablations.errors import UserError
from ablations.reports import figure, style
from ablations.reports.formats import PICTURES
from ablations.runs import record as records
from ablations.runs.folder import read_records
from ablations.tables import cells
from ablations_tests import depths
from ablations_tests.conftest import ROOT, ablations, configure

DIGITS = ROOT / "results" / "digits"
TABLE1 = study.load("table1")
FIGURE3, AGAINST_BIAS = TABLE1.figures
CONFIG = configure("model=resnet110").resolved()


def run(folder, row, errors, seed=0, status="done", config=CONFIG):
    """A run whose training loss at a step is a hundredth of its error."""
    record = {
        "study": "table1", "row": row, "seed": seed, "status": status, "test_error_percent": errors[-1],
        "steps": 440, "train_images": 1437, "config": config | {"seed": seed},
        "device": "cpu: test", "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip
    place = folder / "table1" / row / f"seed={seed}"
    place.mkdir(parents=True)
    records.write_record(place, record | {"wall_seconds": 1.0})
    lines = [{"step": 10 * (i + 1), "train_loss": e / 100, "test_error_percent": e} for i, e in enumerate(errors)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def curves(*rows):
    return Figure("mine", "curves", "Mine", (Panel("", rows),))


def drawn(monkeypatch, figure_, folder):
    """The figure's axes as matplotlib has them: the right (or only) ones and the left ones of each panel."""
    with monkeypatch.context() as patch:
        patch.setattr(style, "render", lambda made, *_, **__: made)
        made = figure.draw(figure_, TABLE1, read_records(folder, "table1")[0], "svg")
    panels = [axes for axes in made.axes if axes.get_legend()]
    return made, panels, [axes for axes in made.axes if axes not in panels]


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("form", PICTURES)
def test_a_figure_is_the_same_bytes_each_time(form, tmp_path):
    """Also from another process, with other hashes."""
    of_digits = read_records(DIGITS, "table1")[0]
    here = figure.draw(AGAINST_BIAS, TABLE1, of_digits, form)
    assert here == figure.draw(AGAINST_BIAS, TABLE1, of_digits, form)
    if form == "svg":
        done = ablations("figure", "study=table1", f"runs_dir={DIGITS}", f"out={tmp_path}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "table1-error_against_bias.svg").read_bytes() == here
        assert (tmp_path / "table1-figure3.svg").is_file()
    start = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[form]
    assert here.startswith(start)


def test_figure_3_shows_the_medians_of_the_metrics(monkeypatch):
    _, right, left = drawn(monkeypatch, FIGURE3, DIGITS)
    assert [axes.get_legend().get_title().get_text()[:3] for axes in right] == ["(a)", "(b)", "(c)", "(d)"]
    identity, conv1x1 = (
        [records.read_metrics(folder) for folder in (DIGITS / "table1" / row).iterdir()]
        for row in ("identity", "conv1x1")
    )
    for axes, key, dashed in ((right[3], "test_error_percent", False), (left[3], "train_loss", True)):
        _, line = axes.lines
        assert list(line.get_xdata()) == [metrics["step"] for metrics in conv1x1[0]]
        expected = [statistics.median(metrics[key] for metrics in step) for step in zip(*conv1x1, strict=True)]
        assert list(line.get_ydata()) == pytest.approx(expected)
        assert (line.get_linestyle() == "--") == dashed
    assert {axes.get_yscale() for axes in left} == {"log"}
    assert labels(right[3]) == [
        f"{row} ({statistics.median(run[-1]['test_error_percent'] for run in runs):.2f} %, n = {len(runs)})"
        for row, runs in (("identity", identity), ("conv1x1", conv1x1))
    ]


def test_panels_share_their_scales(tmp_path, monkeypatch):
    run(tmp_path, "identity", [90.0, 4.0])
    run(tmp_path, "conv1x1", [90.0, 80.0])
    apart = Figure("mine", "curves", "Mine", (Panel("a", ("identity",)), Panel("b", ("conv1x1",))))
    _, right, left = drawn(monkeypatch, apart, tmp_path)
    assert left[0].get_ylim() == left[1].get_ylim() and right[0].get_ylim() == right[1].get_ylim()
    assert left[0].get_ylim()[0] < 0.04 and left[0].get_ylim()[1] > 0.9


def test_the_band_spans_the_seeds(tmp_path, monkeypatch):
    for seed, errors in enumerate(([9.0, 3.0], [12.0, 5.0], [10.0, 8.0])):
        run(tmp_path, "identity", errors, seed)
    run(tmp_path, "conv1x1", [9.0, 7.0])
    made, (axes,), _ = drawn(monkeypatch, curves("identity", "conv1x1"), tmp_path)
    (band,) = axes.collections  # one seed has none
    assert {tuple(point) for point in band.get_paths()[0].vertices} == {(10, 9), (10, 12), (20, 3), (20, 8)}
    assert list(axes.lines[0].get_ydata()) == [10, 5]
    assert "Median of 1 to 3 seeds" in made.get_supxlabel().replace("\n", " ")


def test_the_error_axis_is_the_paper_s_unless_something_fails(tmp_path, monkeypatch):
    run(tmp_path, "identity", [90.0, 20.0])
    made, (axes,), _ = drawn(monkeypatch, curves("identity"), tmp_path)
    assert axes.get_ylim() == (0, 20) and "Shaded" not in made.get_supxlabel()
    run(tmp_path, "conv1x1", [90.0, 20.1])
    made, (axes,), _ = drawn(monkeypatch, curves("identity", "conv1x1"), tmp_path)
    assert axes.get_ylim() == (0, 100) and "above 20 %" in made.get_supxlabel()
    (limit,) = axes.collections[-1].get_segments()
    assert [list(point) for point in limit] == [[0, 20], [1, 20]], "a line at 20 % from side to side"
    heights = axes.transData.transform([(0, error) for error in (0, 10, 20, 60, 100)])[:, 1]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0])
    assert heights[4] - heights[3] == pytest.approx((heights[2] - heights[0]) / 4) == heights[3] - heights[2]


def test_what_is_not_run_or_diverged_is_said(tmp_path, monkeypatch):
    run(tmp_path, "identity", [9.0, 3.0])
    run(tmp_path, "conv1x1", [float("nan")], status="diverged")
    made, (axes,), _ = drawn(monkeypatch, curves("identity", "conv1x1", "dropout"), tmp_path)
    assert labels(axes) == ["identity (3.00 %, n = 1)", "conv1x1 (diverged, n = 1)", "dropout: not run"]
    assert list(axes.lines[1].get_ydata()) == [100]
    text = made.get_supxlabel().replace("\n", " ")
    assert "Not run: dropout." in text and "drawn at 100 %" in text and "One seed a row: no band." in text
    with pytest.raises(UserError, match="none of its rows is run"):
        drawn(monkeypatch, curves("dropout"), tmp_path)


def gated(bias, kernel, **more):
    return CONFIG | {"shortcut": configure("shortcut=exclusive_gating").resolved()["shortcut"]
                     | {"bias": bias, "gate_kernel": kernel, **more}}  # fmt: skip


def test_error_against_goes_by_the_configuration_not_by_names(tmp_path, monkeypatch):
    run(tmp_path, "identity", [4.0])
    run(tmp_path, "exclusive_gating_0", [30.0], config=gated(-6.0, 1))
    run(tmp_path, "exclusive_gating_-1", [8.0], config=gated(-8.0, 1))
    run(tmp_path, "exclusive_gating_-2", [6.0], seed=0, config=gated(-6.0, 3))
    run(tmp_path, "exclusive_gating_-2", [9.0], seed=1, config=gated(-6.0, 3))
    run(tmp_path, "exclusive_gating_-3", [5.0], config=gated(-7.0, 3))
    rows = ("identity", *(f"exclusive_gating_{bias}" for bias in (0, -1, -2, -3)), "conv1x1")
    against = Figure("mine", "against", "Mine", (Panel("", rows),), "shortcut.bias", ("shortcut",))
    made, (axes,), _ = drawn(monkeypatch, against, tmp_path)
    assert labels(axes) == ["identity", "exclusive_gating, gate_kernel 1", "exclusive_gating, gate_kernel 3"]
    assert "Not run: conv1x1." in made.get_supxlabel().replace("\n", " ")
    level, one, three = axes.lines
    assert set(level.get_ydata()) == {4.0}
    assert list(one.get_xdata()) == [-8, -6] and list(one.get_ydata()) == [8, 30]
    assert list(three.get_xdata()) == [-7, -6] and list(three.get_ydata()) == [5, 7.5]


def test_error_against_depth_has_a_band_and_a_log_axis(tmp_path, monkeypatch):
    """The study `depth`: a line a shortcut, from the lowest to the highest of its seeds, at depths in equal ratios."""
    for seed, error in enumerate((4.0, 6.0, 5.0)):
        depths.one(tmp_path, "identity_20", seed, error)
    depths.one(tmp_path, "identity_164", 0, 7.0)
    depths.one(tmp_path, "dropout_20", 0, 30.0)
    depths.one(tmp_path, "dropout_32", 0, 90.0)
    of_depth = study.load("depth")
    with monkeypatch.context() as patch:
        patch.setattr(style, "render", lambda made, *_, **__: made)
        made = figure.draw(of_depth.figures[0], of_depth, read_records(tmp_path, "depth")[0], "svg")
    (axes,) = made.axes
    assert labels(axes) == ["identity", "dropout"]
    assert list(axes.lines[0].get_xdata()) == [20, 164] and list(axes.lines[0].get_ydata()) == [5, 7]
    assert {tuple(point) for point in axes.collections[0].get_paths()[0].vertices} == {(20, 4), (20, 6), (164, 7)}
    assert axes.get_xscale() == "log" and list(axes.get_xticks()) == [20, 32, 164]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "32", "164"]
    assert "band: lowest to highest error" in made.get_supxlabel().replace("\n", " ")


def test_lines_and_what_is_not_run_are_named_in_short(monkeypatch):
    """By the words of their rows, as the table has them, where that is enough."""
    _, (axes,), _ = drawn(monkeypatch, AGAINST_BIAS, DIGITS)
    assert labels(axes) == ["identity", "exclusive_gating", "shortcut_only_gating"]
    missing = ["conv1x1", "relu_-1", "relu_-2", "no_relu_-1", "plain"]
    assert cells.together(missing) == "conv1x1, plain, relu_{-1, -2}, no_relu_-1"


def test_two_rows_at_one_point_are_refused(tmp_path, monkeypatch):
    """They are two designs, of which a median would mean nothing."""
    run(tmp_path, "exclusive_gating_0", [30.0], config=gated(-6.0, 1))
    run(tmp_path, "exclusive_gating_-1", [8.0], config=gated(-6.0, 1))
    against = Figure(
        "mine",
        "against",
        "Mine",
        (Panel("", ("exclusive_gating_0", "exclusive_gating_-1")),),
        "shortcut.bias",
        ("shortcut",),
    )
    with pytest.raises(UserError, match="row exclusive_gating_-1 has the same point as another row"):
        drawn(monkeypatch, against, tmp_path)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_what_else_makes_a_line_is_in_the_figure_s_data():
    """Study `gates` tells units with and without the last ReLU apart."""
    (of_gates,) = study.load("gates").figures
    settings = ["activation=original", "shortcut=exclusive_gating"]
    lines = {
        figure._x_and_series(configure(*settings, *own).resolved(), of_gates)[1]: None
        for own in ([], ["activation.after_addition=[]"], ["activation.after_addition=[]", "shortcut.bias=0"])
    }
    assert [figure._name(line, lines) for line in lines] == [
        "exclusive_gating, after_addition relu", "exclusive_gating, after_addition nothing",
    ]  # fmt: skip


def test_lines_are_told_apart_without_colour():
    colours, markers, filled, dashes = zip(*style.LOOKS, strict=True)
    assert len(set(markers)) == len(set(dashes)) == len(style.LOOKS)
    assert all(one != other for one, other in zip(filled, filled[1:], strict=False))
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in colours), "contrast with the paper"
    pairs = [sorted(map(luminance, pair)) for pair in zip(colours, colours[1:], strict=False)]
    assert all((high + 0.05) / (low + 0.05) > 1.7 for low, high in pairs), "neighbours differ in lightness"


@pytest.mark.parametrize("arguments,message", [
    ("study=table1 out=a.svg", "has several figures .figure3, error_against_bias.: add figure="),
    ("study=table1 figure=figure9", "no such figure; legal are figure3, error_against_bias"),
    ("study=table1 format=gif", "legal are svg, pdf, png"),
    ("study=table1 figure=figure3 out=a.gif", "format=gif: legal are svg, pdf, png"),
    ("study=table1 figure=figure3 format=png out=a.svg", "is not a file of format=png"),
    ("study=table1 runs_dir=nowhere", "there is no such folder"),
    ("figure=figure3", "study=... is missing"),
    ("study=table1 recipe.steps=1", "no run has such a setting"),
    (f"study=table1 out={ROOT}/pyproject.toml/figures", "cannot be written"),
])  # fmt: skip
def test_mistakes_have_one_message(arguments, message):
    with pytest.raises(UserError, match=message):
        cli_figure.command([f"runs_dir={DIGITS}", *arguments.split()])


def test_a_figure_that_cannot_be_drawn_leaves_the_others(tmp_path, capsys):
    run(tmp_path, "conv1x1", [4.0])
    assert cli_figure.command(["study=table1", f"runs_dir={tmp_path}", f"out={tmp_path}/new"]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["table1-figure3.svg"]
    assert "error_against_bias: none of its rows is run" in capsys.readouterr().out


def test_what_differs_is_never_mixed(tmp_path):
    run(tmp_path, "identity", [4.0])
    run(tmp_path, "conv1x1", [4.0], config=CONFIG | {"recipe": CONFIG["recipe"] | {"total_steps": 1760}})
    with pytest.raises(UserError, match="differ in recipe.total_steps"):
        cli_figure.command(["study=table1", f"runs_dir={tmp_path}"])


def test_a_curve_that_is_gone_is_said(tmp_path):
    run(tmp_path, "identity", [4.0])
    path = tmp_path / "table1" / "identity" / "seed=0" / "metrics.jsonl"
    for content, message in (("no json\n", "is damaged"), ("", "is gone")):
        path.write_text(content)
        with pytest.raises(UserError, match=f"metrics.jsonl {message}"):
            figure.draw(curves("identity"), TABLE1, read_records(tmp_path, "table1")[0], "svg")


def test_a_table_needs_no_matplotlib():
    code = "import sys; from ablations import cli; from ablations.cli import table; from ablations.config import study; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
