"""Critical depths from record files with known outcomes."""

import csv
import io
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flax import nnx
from scipy.stats import kendalltau

from ablations.config import study as studies
from ablations.errors import UserError
from ablations.networks.network import Network
from ablations.runs.folder import read_records
from ablations.tables import critical, critical_table, protocol
from ablations.training.probe import predicted
from ablations_tests import depths
from ablations_tests.conftest import configure

STUDY = studies.load("depth")


def made(folder, fails=depths.EXAMPLE, measurements=(), **options):
    records, unreadable = read_records(depths.write(folder, fails, **options), "depth")
    return critical.make(STUDY, records, measurements, unreadable)


def cells(table):
    return {row[critical_table.FIRST]: row for row in critical_table.cells(table)}


def test_each_choice_has_its_fails_and_its_critical_depth(tmp_path):
    """Twenty layers and more: the fails are those of the records, the depth lies where they begin."""
    rows = cells(made(tmp_path))
    assert list(rows) == list(depths.EXAMPLE)
    for choice, counts in depths.EXAMPLE.items():
        assert [rows[choice][str(depth)] for depth in depths.DEPTHS] == [f"{count}/3" for count in counts]
    half = {choice: row["half fail at"] for choice, row in rows.items()}
    assert half["identity"] == half["shortcut_only_gating_-6"] == "> 164" and half["dropout"] == "< 20"
    for choice, low, high in (("conv1x1", 56, 110), ("plain", 44, 56), ("constant_scaling_0.5_1", 20, 32)):
        assert low < int(half[choice]) < high
    interval = {choice: row["95 % interval"] for choice, row in rows.items()}
    assert (interval["identity"], interval["dropout"], interval["conv1x1"]) == ("> 110", "< 32", "56 - 118")
    assert interval["exclusive_gating_-6"] == "> 73" and interval["constant_scaling_0.5_1"] == "< 34"
    assert {choice: row["paper, 110"] for choice, row in rows.items()} == {
        name.removesuffix("_110"): line["value"]
        for name, line in protocol.paper_lines("Depth").items()
        if name.endswith("_110")
    }


def test_a_depth_that_is_not_run_is_no_success(tmp_path):
    rows = cells(made(tmp_path, {"plain": (0, None, 1, None, 3), "dropout": (3,)}, seeds=4))
    assert [rows["plain"][str(depth)] for depth in (20, 44, 110)] == ["0/4", "1/4", "3/4"]
    assert "32" not in rows["plain"] and rows["dropout"]["110"] == "-"
    assert rows["dropout"]["half fail at"] == "< 20" and rows["dropout"]["95 % interval"] == "not resolved"
    assert "identity" not in rows


def test_the_order_is_compared_with_the_paper_s(tmp_path):
    """As SciPy has it, where fails are tied, and those that never fail, and those that always do."""
    table = made(tmp_path)
    paper = [6.61, 99, 99, 12.35, 8.70, 6.91, 12.22, 99]
    ours = [line.crossing.x for line in table.lines]
    assert ours[0] == ours[5] == float("inf")
    assert table.tau == (pytest.approx(kendalltau(paper, [-min(x, 999) for x in ours]).statistic), 8)
    assert f"critical depths: {table.tau[0]:.2f} over 8 rows" in " ".join(critical_table.notes(table))
    few = made(tmp_path / "few", {"identity": (0, 0), "dropout": (0, 3)})
    assert few.tau == (None, 2) and "Kendall" not in " ".join(critical_table.notes(few))


@pytest.mark.parametrize(
    "overrides",
    [
        ["shortcut=identity"],
        ["shortcut=constant_scaling", "shortcut.shortcut_scale=0.5"],
        ["shortcut=exclusive_gating", "shortcut.bias=-2"],
        ["shortcut=dropout", "model.dimension_change=projection"],
        ["shortcut=dropout", "shortcut.at_dimension_change=false"],
        ["shortcut=dropout", "shortcut.at_dimension_change=false", "model=resnet164", "model.depth=29"],
        ["shortcut=dropout", "model=resnet110_1layer", "model.depth=14"],
        ["shortcut=conv1x1"],
    ],
)
def test_the_product_is_the_probes_prediction(overrides):
    """Of Eqn. 8, read off the network there, and off the settings here."""
    config = configure("model=resnet20", *overrides)
    of_config = nnx.eval_shape(
        lambda: Network(
            config.model.architecture(),
            config.activation,
            config.shortcut,
            classes=10,
            image_channels=1,
            rngs=nnx.Rngs(0),
        )
    )
    line = critical.Line("", {}, critical.firth.Crossing(1.0), None, config, {})
    expected = predicted(SimpleNamespace(network=of_config, config=config))[0]  # pyright: ignore[reportArgumentType]
    assert line.product(config.model.depth) == (expected if expected is None else pytest.approx(expected))


def test_eqn_8_stands_at_the_critical_depth(tmp_path):
    table = made(tmp_path)
    rows = cells(table)
    (scaled,) = [line for line in table.lines if line.choice == "constant_scaling_0.5_0.5"]
    assert rows[scaled.choice]["Eqn. 8"] == f"{0.5 ** ((scaled.crossing.x - 2) / 2):.3g}"
    assert rows["identity"]["Eqn. 8"] == "1 at 164" and rows["dropout"]["Eqn. 8"] == "0.00195 at 20"
    assert rows["shortcut_only_gating_-6"]["Eqn. 8"] == f"{0.99753**81:.3g} at 164"
    assert rows["conv1x1"]["Eqn. 8"] == rows["conv1x1"]["factor"] == "-" and rows["plain"]["factor"] == "0"


def probe(row, product, at="start"):
    return {"row": row, "at": at, "units": {"product": [product, 1.0]} if product is not None else {}}


def test_measured_products_stand_beside_it_if_there_are_any(tmp_path):
    """At the measured depth that is nearest to the critical one; the median of the seeds."""
    assert not [name for name in cells(made(tmp_path))["plain"] if name.startswith("measured")]
    measurements = [
        probe("identity_164,data=digits", 0.3),
        *(probe("conv1x1_56", product) for product in (1e-9, 3e-9, 2e-9)),
        probe("conv1x1_110", 1e-20),
        probe("plain_44", None),
    ]
    records, _ = read_records(tmp_path, "depth")
    rows = cells(critical.make(STUDY, records, measurements))
    measured = {choice: row["measured before training"] for choice, row in rows.items()}
    assert (
        measured["identity"] == "0.3 at 164" and measured["conv1x1"] == "1e-20 at 110"
    )  # 79 is nearer to 110 in ratio
    assert measured["plain"] == measured["dropout"] == "-" and "measured after training" not in rows["plain"]
    rows = cells(critical.make(STUDY, records, [*measurements[:4], probe("plain_44", 0.5, "end")]))
    assert rows["conv1x1"]["measured before training"] == "2e-09 at 56"
    assert rows["plain"]["measured after training"] == "0.5 at 44"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_order_of_the_products_is_compared_at_the_papers_depth(sign, tmp_path):
    lines = made(tmp_path).lines
    records, _ = read_records(tmp_path, "depth")
    at_110 = [probe(f"{line.choice}_110", sign * min(line.crossing.x, 1e4)) for line in lines]
    table = critical.make(STUDY, records, [*at_110, *(probe(f"{line.choice}_20", 0.5) for line in lines)])
    assert table.tau_of_products("start") == (pytest.approx(sign), len(lines))
    assert any(f"at 110 layers and the critical depths: {sign:.2f}" in note for note in critical_table.notes(table))
    assert critical.make(STUDY, records, at_110[:2]).tau_of_products("start") == (None, 2)


def test_every_form_has_the_same(tmp_path, capsys):
    table = made(tmp_path)
    critical_table.show(table)
    shown = capsys.readouterr().out
    markdown = critical_table.markdown(table)
    for row in cells(table).values():
        assert re.search(r" +".join(map(re.escape, row.values())), shown)
        assert re.search(r"\| " + r" +\| ".join(map(re.escape, row.values())) + r" +\|", markdown)
    flat = " ".join(shown.split())
    for note in critical_table.notes(table):
        assert note in flat and note in markdown
    plain = {row["row"]: row for row in csv.DictReader(io.StringIO(critical_table.as_csv(table)))}
    assert plain["plain"]["fails_44"] == "1" and plain["plain"]["runs_44"] == "3" and plain["plain"]["factor"] == "0.0"
    of = {name: [plain[name][key] for key in ("critical_depth", "interval_low", "interval_high")] for name in plain}
    assert of["identity"] == ["", "110", ""] and of["dropout"] == ["", "", "32"]
    assert [round(float(limit)) for limit in of["conv1x1"]] == [79, 56, 118]


def test_rows_of_ones_own_are_left_out_and_named(tmp_path):
    depths.write(tmp_path, {"identity": (0, 0)})
    records, _ = read_records(tmp_path, "depth")
    table = critical.make(STUDY, [*records, records[0] | {"row": "mine"}])
    assert list(cells(table)) == ["identity"]
    assert "Left out, as they have no depth in the study's grid: mine." in critical_table.notes(table)


def test_what_differs_is_never_mixed(tmp_path):
    depths.write(tmp_path, {"identity": (0, 0)})
    records, _ = read_records(tmp_path, "depth")
    config = records[0]["config"]
    records[0]["config"] = config | {"recipe": config["recipe"] | {"total_steps": 1760}}
    with pytest.raises(UserError, match=r"differ in recipe\.total_steps"):
        critical.make(STUDY, records)


def test_a_row_must_have_the_depth_that_it_is_named_by(tmp_path):
    """`model.depth=8` may be added to a command, and would put runs of 8 layers into every column."""
    depths.write(tmp_path, {"identity": (0, 0)})
    records, _ = read_records(tmp_path, "depth")
    for record in records:
        record["config"] = record["config"] | {"model": record["config"]["model"] | {"depth": 8}}
    with pytest.raises(UserError, match=r"runs of row identity_(20|32) have 8 layers, not"):
        critical.make(STUDY, records)


@pytest.mark.parametrize("name,depth,results", [("depth", 110, 8), ("depth_orders", 110, 5)])
def test_the_paper_s_order_is_that_of_the_depth_it_is_most_about(name, depth, results):
    study = studies.load(name)
    lines = tuple(
        critical.table.Line(row, protocol.paper_lines(study.paper_table).get(row.name), {}) for row in study.rows
    )
    table = critical.table.Table(study, "", lines, "", "")
    assert critical._paper_depth(table, critical.depths(study)) == depth
    assert sum(line.in_paper for line in lines if line.row.choices[1] == str(depth)) == results
    first, *others = [line for line in lines if line.row.choices[1] in ("20", "110")]
    more = [replace(line, paper={"value": "fail"} if line.row.choices[1] == "20" else None) for line in others]
    assert critical._paper_depth(replace(table, lines=(first, lines[4], *more)), critical.depths(study)) == 20
    none = replace(table, lines=tuple(replace(line, paper=None) for line in lines))
    assert critical._paper_depth(none, critical.depths(study)) is None
