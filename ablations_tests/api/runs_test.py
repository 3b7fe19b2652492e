"""Runs, tables and figures that show themselves, and what goes into a data frame."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

import ablations as ab
from ablations.data import catalogue
from ablations.runs.record import read_record
from ablations_tests.conftest import ONE_UNIT, here


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Runs of two rows of Table 1; of one of them a second seed, whose loss diverged."""
    folder = tmp_path_factory.mktemp("study")
    line = (
        "study=table1",
        *ONE_UNIT,
        "recipe.bn_statistics=running",
        "recipe.total_steps=4",
        "recipe.evaluate_every=2",
    )
    done = here("train", *line, "row=identity,exclusive_gating_-6", "seeds=1", "hydra/launcher=basic", cwd=folder)
    assert done.returncode == 0, done.stderr
    [first] = folder.glob("runs/table1/identity*/seed=0")
    second = first.with_name("seed=1")
    second.mkdir()
    record = read_record(first) | {"seed": 1, "status": "diverged", "train_loss": None}
    record["config"]["seed"] = 1
    (second / "record.json").write_text(json.dumps(record))
    (second / "metrics.jsonl").write_text((first / "metrics.jsonl").read_text().splitlines(keepends=True)[0])
    return folder


@pytest.fixture
def runs(study, monkeypatch):
    monkeypatch.chdir(study)
    return ab.records("runs", study="table1")


class Balanced(HTMLParser):
    """Fails on a tag that is not closed where it should be; keeps the text."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.text = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_each_shows_itself_in_a_notebook_and_on_a_terminal(runs):
    for thing in (runs, runs[0], runs.table(), ab.probe(runs[0].config, images=8)):
        text = " ".join(Balanced(thing._repr_html_()).text)
        assert len(text) > 20 and "object at 0x" not in repr(thing)
    table = runs.table()
    assert "exclusive_gating_-6" in table._repr_html_() and "on shortcut" in repr(table)
    assert "paper" in repr(table) and "not run" in repr(table), "the rows of the study, the paper's figures beside ours"
    assert "diverged" in repr(runs) and "table1" in repr(runs)


def test_figures_are_svg_and_the_same_each_time(runs, tmp_path):
    for figure in (runs.curves(), runs.figure(), runs[0].curves()):
        root = ElementTree.fromstring(figure._repr_svg_())
        assert root.tag.endswith("svg")
    words = runs.curves().svg
    assert "identity (diverged, n = 2)" in words and "exclusive_gating_-6 (" in words
    assert runs.curves().svg == words
    runs.curves().save(tmp_path / "curves.pdf")
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ab.UserError, match="the name of a figure must end in .svg, .pdf, .png"):
        runs.curves().save(tmp_path / "curves.gif")


def test_curves_of_runs_that_belong_to_no_study_are_a_line_each(tmp_path, monkeypatch, study):
    """Their names begin with the same setting."""
    monkeypatch.chdir(tmp_path)
    first = next(study.glob("runs/table1/identity*/seed=0"))
    for name in ("model=resnet20", "model=resnet20,shortcut=dropout"):
        folder = tmp_path / "runs/single" / name / "seed=0"
        folder.mkdir(parents=True)
        record = read_record(first) | {"study": "single", "row": name}
        (folder / "record.json").write_text(json.dumps(record))
        (folder / "metrics.jsonl").write_text((first / "metrics.jsonl").read_text())
    words = ab.records().curves().svg
    assert "model=resnet20 (" in words and "model=resnet20 shortcut=dropout (" in words


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_flat_goes_into_a_data_frame_as_it_is(runs, package):
    frames = pytest.importorskip(package)
    frame = frames.DataFrame(runs.flat())
    assert frame.shape[0] == 3
    assert sorted(frame["shortcut"]) == ["exclusive_gating", "identity", "identity"]
    assert frame["test_error_percent"].dtype in ("float64", getattr(frames, "Float64", None))
    assert sorted(frame["seed"]) == [0, 0, 1]


def test_flat_has_plain_values_the_same_keys_and_one_type_a_key(runs):
    lines = runs.flat()
    assert len({tuple(line) for line in lines}) == 1
    for key in lines[0]:
        types = {type(line[key]) for line in lines} - {type(None)}
        assert len(types) <= 1 and types <= {int, float, str, bool}, key
    gated = next(line for line in lines if line["shortcut"] == "exclusive_gating")
    assert (gated["shortcut.bias"], gated["model.unit_layers"], gated["activation.between"]) == (-6.0, 2, "bn relu")
    assert next(line for line in lines if line["seed"] == 1)["train_loss"] is None


def test_settings_choose_runs_and_what_is_missing_is_named(runs):
    assert len(ab.records("runs")) == len(runs) == 3
    [gated] = ab.records("runs", study="table1", shortcut="exclusive_gating")
    assert gated.record["row"].startswith("exclusive_gating_-6")
    assert len(runs[1:]) == 2 and isinstance(runs[1:], ab.Runs)
    for wrong, message in (
        (lambda: ab.records("nowhere"), "runs_dir=nowhere: there is no such folder"),
        (lambda: ab.records("runs", study="table2"), "study=table2: runs has no finished runs of it; it has table1"),
        (lambda: ab.records("runs", colour="red"), "colour=red: no run has such a setting"),
        (lambda: runs.figure("figure9"), "figure=figure9: study table1 has no such figure; legal are figure3"),
        (lambda: runs.table().text("word"), "format=word: legal are markdown, csv, latex, html"),
        (lambda: ab.Runs([]).table(), "there are no runs"),
        (lambda: runs.table("table11"), "study=table11: unknown; legal are"),
        (lambda: ab.probe(runs[0], images=0), "images=0: must be a number of at least 1"),
        (lambda: ab.lesion(runs[0], draws=-1), "draws=-1: must be a number of at least 1"),
        (lambda: ab.lesion(runs[0], paths="8"), "paths='8': must be a number of at least 1"),
    ):
        with pytest.raises(ab.UserError) as error:
            wrong()
        assert str(error.value).startswith(message), error.value


def test_a_network_is_loaded_without_its_data_set(finished, monkeypatch):
    cwd, folder = finished
    run = ab.Run.at(folder)
    dataset = catalogue.load(run.config.data)

    def gone(*_, **__):
        raise AssertionError("the data set was looked for")

    for name in ("load", "prepare"):
        monkeypatch.setattr(catalogue, name, gone)
    trained = ab.load(run)
    logits = trained(dataset.test_images)
    wrong = (logits.argmax(1) != dataset.test_labels).mean()
    assert 100 * wrong == pytest.approx(run.record["test_error_percent"], abs=1e-4)
    np.testing.assert_array_equal(trained(dataset.test_images[:1]), logits[:1], "an image alone is the same image")
    np.testing.assert_array_equal(trained(dataset.test_images), logits, "to call changes nothing")

    import jax

    before = jax.tree.map(np.asarray, trained.state.params)
    batch = dataset.train_images[:64], dataset.train_labels[:64]
    after, loss = trained.step(batch)
    losses = [loss]
    for _ in range(3):
        after, loss = after.step(batch)
        losses.append(loss)
    assert losses[-1] < losses[0] and int(after.state.step) == run.record["steps"] + 4
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, trained.state.params))
    for images, message in (
        (dataset.test_images[..., 0], "takes (N, H, W, 1), uint8"),
        (dataset.test_images / 255, "float64: this network takes"),
    ):
        with pytest.raises(ab.UserError) as error:
            trained(images)
        assert message in str(error.value)


def test_a_network_starts_from_the_weights_of_its_run():
    import jax
    from flax import nnx

    from ablations.training.steps import Steps

    config = ab.configure(*ONE_UNIT, "shortcut=dropout", seed=5)
    state = Steps(config, catalogue.load(config.data)).init()
    _, params, others = nnx.split(ab.network(config), nnx.Param, ...)
    for ours, theirs in ((params, state.params), (others, state.others)):
        ours = jax.tree.leaves(nnx.as_pure(ours))
        assert len(ours) == len(jax.tree.leaves(theirs)) > 0
        for one, other in zip(ours, jax.tree.leaves(theirs), strict=True):
            one, other = (
                jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
                for x in (one, other)
            )
            np.testing.assert_array_equal(one, other)
