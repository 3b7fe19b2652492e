"""Tables from records with known answers."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from scipy.stats import kendalltau, ttest_rel

from ablations.cli import table as render
from ablations.config import study as studies
from ablations.errors import UserError
from ablations.runs.record import write_record
from ablations.tables import cells, markup, protocol, screen, table
from ablations.tables.verdict import kendall_taus
from ablations_tests.conftest import configure

CONFIG = configure().resolved()


def record(row, error, seed=0, status="done", **config):
    return {
        "study": "table1", "row": row, "seed": seed, "status": status, "test_error_percent": error,
        "train_loss": 0.1, "steps": 440, "train_images": 1437, "test_images": 360, "config": CONFIG | config,
        "wall_seconds": 1.0, "device": "cpu: test", "commit": "0" * 40, "versions": {"jax": "1"},
    }  # fmt: skip


RECORDS = [
    record("identity", 3.0, 0),
    record("identity", 5.0, 1),
    record("identity", 10.0, 2),
    record("plain", 90.0),
    record("constant_scaling_0.5_1", 10.0),  # the paper's fails
    record("constant_scaling_0.5_0.5", 21.0),  # ours fails
    record("exclusive_gating_-6", 6.0),
    record("shortcut_only_gating_-6", 7.0, 0),
    record("shortcut_only_gating_-6", 90.0, 1, "diverged"),
    record("conv1x1", 90.0, 0, "diverged"),
    record("mine", 4.0, shortcut={"name": "dropout", "rate": 0.1}),
]


def made(records=RECORDS):
    return table.make(studies.load("table1"), records)


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("form,name", [("markdown", "md"), ("csv", "csv"), ("latex", "tex"), ("html", "html")])
def test_golden_files(form, name):
    """Everything that a table prints, for known answers; look at the files in golden/."""
    assert markup.WRITERS[form](made()) == (GOLDEN / f"table1.{name}").read_text()


def test_golden_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "230")
    screen.show(made())
    assert capsys.readouterr().out == (GOLDEN / "table1.txt").read_text()


def test_a_narrow_terminal_spares_columns_and_says_so(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "132")
    screen.show(made())
    shown = capsys.readouterr().out
    assert "Left out on so narrow a screen: figure, on F, mean ± std" in shown and "verdict" in shown
    assert all(len(line) <= 132 for line in shown.splitlines())


def test_latex_compiles_in_a_bare_document(tmp_path):
    if not (tex := shutil.which("pdflatex")):
        pytest.skip("no pdflatex here")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}%s\end{document}"
    (tmp_path / "t.tex").write_text(document % markup.latex(made()))
    done = subprocess.run([tex, "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def texts(row, records=RECORDS):
    made_table = made(records)
    return dict(zip(cells.HEADER, cells.cells(made_table.line(row), made_table), strict=True))


def test_a_diverged_run_counts_as_a_fail():
    assert texts("conv1x1")["ours"] == "diverged"
    assert texts("conv1x1")["verdict"] == "differs: ours fails"
    half = texts("shortcut_only_gating_-6")
    assert half["ours"] == "diverged" and half["mean ± std"] == "7.00 (1 diverged)" and half["n"] == "2"
    assert half["95 % interval"] == "" and half["against its baseline"] == "+4.00 (1 pair)"


def test_twenty_percent_is_no_fail():
    assert texts("identity", [record("identity", 20.0)])["ours"] == "20.00"
    assert texts("identity", [record("identity", 20.01)])["ours"] == "fail (20.01)"


def test_rows_are_the_paper_s_then_ones_own():
    names = [line.row.name for line in made().lines]
    assert names == [*protocol.paper_lines("Table 1"), "mine"]


def three(row, *errors):
    return [record(row, error, seed) for seed, error in enumerate(errors)]


@pytest.mark.parametrize(
    "errors,said",
    [
        ((4.0, 5.1, 6.0), "agrees: worse than identity"),  # about 1 more, each time
        ((2.0, 3.1, 4.0), "differs: better than identity"),
        ((4.0, 3.0, 6.0), "not resolved by 3 seeds"),
        ((40.0, 30.0, 60.0), "differs: ours fails"),
    ],
)
def test_a_verdict_needs_a_difference_that_the_seeds_resolve(errors, said):
    records = three("identity", 3.0, 4.0, 5.0) + three("exclusive_gating_-6", *errors)
    assert texts("exclusive_gating_-6", records)["verdict"] == said


def test_one_seed_resolves_nothing():
    assert texts("exclusive_gating_-6", [record("identity", 3.0), record("exclusive_gating_-6", 19.0)])["verdict"] == (
        "not resolved by 1 seed"
    )
    assert cells.resolution(made([record("identity", 3.0)])).startswith("One seed a row")
    assert cells.resolution(made([record("identity", 30.0)])) == ""  # no row learns
    assert cells.resolution(made(three("identity", 30.0, 40.0, 50.0))) == ""
    assert cells.resolution(made([record("identity", 3.0), *three("plain", 30.0, 40.0, 50.0)])) == ""


@pytest.mark.parametrize(
    "baseline,said",
    [
        ([3.0], ["agrees: fails", "differs: ours fails"]),
        ([50.0], ["baseline fails"] * 2),
        ([], ["baseline not run"] * 2),
    ],
)
def test_a_fail_says_nothing_where_the_baseline_fails_too_or_is_not_run(baseline, said):
    records = three("identity", *baseline) + [record("plain", 90.0), record("conv1x1", 40.0)]
    assert [texts(row, records)["verdict"] for row in ("plain", "conv1x1")] == said


def test_a_row_that_learns_is_no_better_than_a_baseline_without_runs():
    assert texts("conv1x1", [record("conv1x1", 4.0)])["verdict"] == "baseline not run"


def test_rows_are_compared_over_equal_seeds():
    """Student's paired interval, as scipy has it; seeds that one of the two lacks are left out."""
    errors, others = {0: 3.0, 1: 5.0, 2: 10.0, 7: 1.0}, {2: 12.0, 0: 4.5, 1: 5.5}
    lines = [table.Line(studies.Row(name, ()), None, of) for name, of in (("a", errors), ("b", others))]
    [comparison] = table.compare([(lines[1], lines[0])])
    assert comparison and comparison.differences == (1.5, 0.5, 2.0)
    test = ttest_rel([4.5, 5.5, 12.0], [3.0, 5.0, 10.0])
    expected = test.confidence_interval()
    assert comparison.interval == pytest.approx((expected.low, expected.high))
    assert comparison.p == pytest.approx(float(test.pvalue))
    assert table.compare([(lines[0], table.Line(studies.Row("c", ()), None, {9: 1.0}))]) == [None]


def test_a_verdict_is_corrected_for_the_number_of_rows():
    """Alone p is 0.011; among four rows it is 0.043, among seven 0.075."""
    baseline, row = three("identity", 3.0, 4.0, 5.0), three("exclusive_gating_-6", 4.0, 5.2, 6.44)
    others = ["exclusive_gating_-7", "shortcut_only_gating_0", "shortcut_only_gating_-6", "conv1x1", "dropout", "plain"]
    said = []
    for count in (0, 3, 6):
        noise = [run for name in others[:count] for run in three(name, 3.0, 5.0, 5.0)]
        said.append(texts("exclusive_gating_-6", baseline + row + noise)["verdict"])
    assert said == ["agrees: worse than identity"] * 2 + ["not resolved by 3 seeds"]


def test_rows_whose_seeds_disagree_are_named_with_an_exact_interval():
    shown = cells.notes(made(three("identity", 3.0, 30.0, 5.0) + three("plain", 90.0, 90.0, 89.0)))
    [note] = [note for note in shown if note.startswith("Seeds that fail")]
    assert note.endswith("would: identity in 1 of 3 (1 to 91 %).")


@pytest.mark.parametrize(
    "paper,ours",
    [
        ("1 2 3 4", "1 2 3 4"),
        ("1 2 3 4", "4 3 2 1"),
        ("1 2 3", "1 3 2"),
        ("1 2 fail fail", "1 2 30 40"),
        ("1 2 fail", "3 3 1"),
    ],
)
def test_kendall_tau(paper, ours):
    """As scipy has it, where all fails are tied."""
    paper, ours = paper.split(), [float(error) for error in ours.split()]
    rows = zip(paper, ours, strict=True)
    lines = tuple(
        table.Line(studies.Row(str(i), (), baseline="0" if i else ""), {"value": p}, {0: o})
        for i, (p, o) in enumerate(rows)
    )
    made_table = table.Table(studies.load("table1"), "", lines, "", "")
    expected = kendalltau([100 if p == "fail" else float(p) for p in paper], [min(o, 20.5) for o in ours]).statistic
    [(_, tau, count)] = kendall_taus(made_table)
    assert (tau, count) == (pytest.approx(expected), len(lines))


def test_rows_of_several_networks_have_an_order_each():
    """In each of two networks the order is the paper's; over both it is not, since the better network is another one."""
    study, errors = studies.load("table2"), {"resnet110": (1.0, 2.0, 3.0), "resnet164": (11.0, 12.0, 13.0)}
    rows = {row.name: row for row in study.rows}
    lines = [
        table.Line(rows[f"{network}_{order}"], {"value": str(paper)}, {0: error})
        for network, paper_s in (("resnet110", (7.0, 8.0, 9.0)), ("resnet164", (4.0, 5.0, 6.0)))
        for order, paper, error in zip(
            ("original", "full_preactivation", "bn_after_addition"), paper_s, errors[network], strict=True
        )
    ]
    made_table = table.Table(study, "", tuple(lines), "", "")
    [note] = [note for note in cells.notes(made_table) if note.startswith("Kendall")]
    assert note == (
        "Kendall's tau between the paper's order and ours: of the 110-layer networks 1.00 over 3 rows; of the 164-layer "
        "networks 1.00 over 3 rows."
    )
    fewer = table.Table(study, "", tuple(lines[:5]), "", "")
    assert [(group.name, count) for group, _, count in kendall_taus(fewer)] == [("resnet110", 3)]


def test_departures_from_the_paper_are_named():
    def departures(*overrides):
        config = configure(*overrides).resolved()
        return made([record("identity", 3.0, **config)]).departures

    assert departures("data=cifar10", "recipe=paper", "recipe.bn_group=64") == ""
    assert departures("data=cifar10", "recipe=paper") == (
        "Recipe paper departs from the paper's protocol in bn_group none (the paper: 64)."
    )
    assert departures("recipe=paper", "recipe.bn_group=64") == (
        "Trained on digits, which is not the paper's data: compare the order, not the figures. "
        f"{protocol.CANNOT_SHOW['digits']}"
    )
    assert "total_steps 6400 (the paper: 64000)" in departures("recipe=short")
    assert "label_smoothing" not in departures("recipe=paper") and "schedule cosine" in departures("recipe=modern")


def test_another_network_and_fewer_images_are_departures():
    def departures(*overrides, row="identity", study="table1"):
        config = configure("data=cifar10", "recipe=paper", "recipe.bn_group=64", *overrides).resolved()
        images = config["data"]["train_images"] or 50_000
        of_row = record(row, 3.0, **config) | {"study": study, "train_images": images}
        return table.make(studies.load(study), [of_row]).departures

    assert departures("model=resnet20") == "Trained resnet20 in place of resnet110."
    assert departures("model.depth=20") == "Trained resnet110 with 20 layers in place of resnet110."
    assert departures("data.train_images=5000") == "Trained on only 5,000 of the 50,000 training images of cifar10."
    assert departures("model=resnet20", "data.train_images=5000") == (
        "Trained resnet20 in place of resnet110, on only 5,000 of the 50,000 training images of cifar10."
    )
    assert departures("data.train_images=50000") == departures("model=resnet20", row="mine") == ""
    assert departures("model.depth=164", row="identity_164", study="depth") == ""
    assert departures(row="identity_164", study="depth") == "Trained resnet110 in place of resnet110 with 164 layers."


def test_networks_stand_in_the_order_of_their_numbers_with_a_depth_that_is_not_in_their_name():
    models = ("model=resnet1001", "model=resnet110", "model=resnet20", "model=resnet110 model.depth=164")
    records = [record(str(i), 3.0, model=configure(*of.split()).resolved()["model"]) for i, of in enumerate(models)]
    assert protocol.heading(records).startswith("resnet20, resnet110, resnet110 with 164 layers, resnet1001 on digits")


def test_no_runs():
    text = markup.markdown(made([]))
    assert "no runs" in text and text.count("not run") == 16 and "Kendall" not in text


def test_csv_reads_back():
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(markup.as_csv(made())))}
    assert float(rows["identity"]["median"]) == 5 and rows["identity"]["errors"] == "3.0000 5.0000 10.0000"
    assert rows["exclusive_gating_0"]["median"] == "not run"


def test_settings_select_and_what_differs_is_never_mixed():
    other = CONFIG["recipe"] | {"total_steps": 1760}
    both = [record("identity", 3.0), record("plain", 2.0, recipe=other)]
    with pytest.raises(UserError, match=r"differ in recipe.total_steps \(880 and 1760\): a table never mixes those"):
        made(both)
    assert [r["test_error_percent"] for r in table.select(both, {"recipe.total_steps": "1760"})] == [2.0]
    assert table.select(both, {"data": "cifar10"}) == []
    with pytest.raises(UserError, match="no run has such a setting"):
        table.select(both, {"recipe.steps": "1760"})
    with pytest.raises(UserError, match=r"differ in recipe.total_steps"):  # a row of one's own is one of the table
        made([record("identity", 3.0), record("mine", 2.0, recipe=other)])


def test_what_makes_a_row_may_differ():
    """A switch of the recipe is a row of study `switches`, and only that switch may differ there."""
    study = studies.load("switches")

    def of(row, **recipe):
        return record(row, 3.0, recipe=CONFIG["recipe"] | recipe)

    assert table.make(study, [of("original"), of("nesterov", nesterov=True)]).line("nesterov").n == 1
    with pytest.raises(UserError, match="recipe.nesterov"):
        table.make(study, [of("original"), of("bn_statistics_exact", nesterov=True)])


def test_two_data_sets_stand_in_one_table_only_where_the_study_says_so():
    study, cifar = studies.load("table3"), configure("data=cifar10").resolved()["data"]
    rows = [record("resnet110_original", 6.0, data=cifar), record("resnet164_original", 5.0, data=cifar)]
    rows += [record("cifar100_resnet164_original", 25.0, data=cifar | {"name": "cifar100"})]
    made_table = table.make(study, rows)
    assert [line.n for line in made_table.lines if line.n] == [1, 1, 1]
    assert "cifar10 (1,437 training images), cifar100" in made_table.settings
    with pytest.raises(UserError, match=r"differ in data \(cifar10 and digits\)"):
        table.make(study, [*rows, record("resnet164_full_preactivation", 4.0)])


def test_what_makes_a_row_is_no_departure():
    study, config = studies.load("switches"), configure("data=cifar10", "recipe=paper", "recipe.bn_group=64").resolved()

    def departures(*rows):
        recipe = config["recipe"]
        made_rows = [record(row, 3.0, data=config["data"], recipe=recipe | own) for row, own in rows]
        return table.make(study, made_rows).departures

    assert departures(("original", {}), ("bn_group_half", {})) == ""
    assert departures(("original", {"bn_group": None}), ("bn_group_half", {})).startswith("Recipe paper departs")
    assert departures(("bn_group_half", {"bn_group": None})) == ""


def test_an_old_record_of_one_run_has_no_interval():
    old = {key: value for key, value in record("identity", 3.0).items() if key != "test_images"}
    assert texts("identity", [old])["95 % interval"] == ""


def test_what_n_seeds_resolve_is_said_of_the_fewest():
    records = three("identity", 3.0, 4.0, 5.0) + three("exclusive_gating_-6", 4.0, 5.0)
    assert "With 2 seeds and the spread of the rows that learn (std 0.71 to 1.00)" in cells.resolution(made(records))


def test_two_rows_have_no_tau():
    assert kendall_taus(made(three("identity", 3.0) + three("exclusive_gating_-6", 4.0))) == []


def test_several_versions_of_the_code_are_named():
    other = record("plain", 90.0) | {"commit": "1" * 40 + "+"}
    assert made([record("identity", 3.0), other]).provenance == (
        "device cpu: test; commit 000000000000 (1 run), 111111111111+ (1 run); jax 1"
    )


def test_somebody_else_s_method_is_shown_beside_ours():
    made_table = table.make(studies.load("table4"), [])
    shown = dict(zip(cells.HEADER, cells.cells(made_table.line("highway"), made_table), strict=True))
    assert (shown["paper"], shown["ours"], shown["n"]) == ("7.72", "-", "")
    (best,) = (row for row in markup.markdown(made_table).splitlines() if "| resnet1001_full_preactivation " in row)
    assert "4.92 (4.89 ± 0.14)" in best and "not run" in best


def test_the_runs_of_a_row_differ_in_their_seed_only():
    """A row of another model has the row's name in its folder's, and is not a seed more."""
    smaller = record("identity,model=resnet20", 9.0, 1, model=configure("model=resnet20").resolved()["model"])
    with pytest.raises(UserError, match=r"the runs of row identity differ in model \(resnet110 and resnet20\)"):
        made([record("identity", 3.0), smaller])
    assert texts("identity", table.select([record("identity", 3.0), smaller], {"model": "resnet20"}))["n"] == "1"
    with pytest.raises(UserError, match=r"the runs differ in model \(resnet110 and resnet20\)"):
        made([record("plain", 3.0), smaller])


def test_the_command_writes_a_file(tmp_path, capsys):
    for made_record in RECORDS:
        folder = tmp_path / "table1" / made_record["row"] / f"seed={made_record['seed']}"
        folder.mkdir(parents=True)
        write_record(folder, made_record)
    assert render.command(["study=table1", f"runs_dir={tmp_path}", "format=markdown", f"out={tmp_path}/t.md"]) == 0
    assert (tmp_path / "t.md").read_text() == markup.markdown(made(RECORDS))
    capsys.readouterr()
    assert render.command(["study=table1", f"runs_dir={tmp_path}", "data=digits"]) == 0
    shown = capsys.readouterr().out
    assert "resnet110 on digits" in shown and "fail (90.00)" in shown and "not run" in shown
    with pytest.raises(UserError, match="out=.*: cannot be written"):
        render.command(["study=table1", f"runs_dir={tmp_path}", "format=csv", f"out={tmp_path}/no/t.csv"])


def test_table_5_prints_top_1_and_top_5_of_the_crop_of_each_row():
    data = configure("data=imagenet").resolved()["data"]
    assert data["test_crops"] == [320, 224]

    def run(seed, error, **more):
        of_320 = {"test_error_percent": error, "test_top5_error_percent": error / 4}
        of_224 = {"test_error_percent_224": error + 2, "test_top5_error_percent_224": error / 2}
        return record("resnet152_original", error, seed, data=data) | of_320 | of_224 | more

    def ours(records):
        found = table.make(studies.load("table5"), records)
        return {
            name: cells.cells(found.line(name), found)[5]
            for name in ("resnet152_original", "resnet152_original_crop224")
        }

    both = ours([run(0, 16.0), run(1, 12.0), run(2, 18.0)])
    assert both == {"resnet152_original": "16.00/4.00", "resnet152_original_crop224": "18.00/8.00"}
    diverged = ours([run(0, 16.0), run(1, 12.0, status="diverged"), run(2, 18.0)])
    assert diverged == {"resnet152_original": "18.00", "resnet152_original_crop224": "20.00"}
    only_320 = run(0, 16.0)
    del only_320["test_error_percent_224"], only_320["test_top5_error_percent_224"]
    assert ours([only_320]) == {"resnet152_original": "16.00/4.00", "resnet152_original_crop224": "not run"}
    recipe = {"recipe": configure("recipe=imagenet", "recipe.batch_size=512").resolved()["recipe"]}
    found = table.make(studies.load("table5"), [run(0, 16.0) | {"config": CONFIG | recipe | {"data": data}}])
    assert "departs from the paper's protocol in batch_size 512 (the paper: 256), bn_group none (the paper: 32)." in (
        found.departures
    )
    assert any("top-1/top-5" in note for note in cells.notes(found))
    found = table.make(studies.load("table5"), [run(0, 16.0), run(1, 12.0), run(2, 18.0)])
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(markup.as_csv(found)))}
    of_320, not_run = rows["resnet152_original"], rows["resnet200_original"]
    assert (of_320["paper"], of_320["paper_top5"]) == ("21.3", "5.5")
    assert (of_320["top5_median"], of_320["top5_errors"]) == ("4.0000", "4.0000 3.0000 4.5000")
    assert not_run["top5_median"] == not_run["top5_errors"] == "" and not_run["paper_top5"] == "6.0"
    assert "top5_median" not in markup.as_csv(made())


@pytest.mark.parametrize(
    "seeds,words", [((0, 1, 2), "seeds 0-2"), ((1, 5, 2**62), f"seeds 1, 5, {2**62}"), ((4,), "seed 4")]
)
def test_seeds_in_words(seeds, words):
    """Without a list of all numbers in between."""
    assert protocol.heading([record("identity", 5.0, seed) for seed in seeds]).endswith(words)
