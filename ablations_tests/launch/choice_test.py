"""Rows that repeat the best of others: chosen by the others' records, and trained after them."""

import re

import pytest

from ablations.config import study
from ablations.errors import UserError
from ablations.launch import run
from ablations_tests.conftest import here
from ablations_tests.launch.search_test import Trained

SMALL = ("data=digits", "recipe=digits", "seeds=1")


@pytest.fixture
def trained(monkeypatch):
    """Records instead of runs; their error is lowest for a bias of -6."""
    monkeypatch.setattr(run, "run", stand_in := Trained())
    return stand_in


MINE = """
question: which?
seeds: 1
common: [model=resnet20, shortcut=exclusive_gating, data.split=train_val]
rows:
  - {row: a, overrides: [shortcut.bias=-5]}
  - {row: b, overrides: [shortcut.bias=-6]}
  - {row: best, best_of: [a, b], overrides: [data.split=train_test]}
"""


def test_the_papers_way_to_choose_a_bias(trained, tmp_path):
    """Start values 0 to -10 are tried on a held-out tenth; the best one is trained on everything."""
    assert here("train", "study=gate_bias", *SMALL, cwd=tmp_path).returncode == 0
    *tried, exclusive, shortcut_only = [job.config for job in trained.jobs]
    assert {config.data.split for config in tried} == {"train_val"}
    assert sorted((config.shortcut.name, config.shortcut.bias) for config in tried) == sorted(
        (gate, -bias) for gate in ("exclusive_gating", "shortcut_only_gating") for bias in range(11)
    )
    for config, gate in ((exclusive, "exclusive_gating"), (shortcut_only, "shortcut_only_gating")):
        assert (config.row, config.shortcut.name, config.shortcut.bias) == (gate, gate, -6)
        assert config.data.split == "train_test"
    shown = here("table", "study=gate_bias", cwd=tmp_path).stdout
    assert re.search("exclusive_gating +bias -6 +8.70", shown) and re.search(
        "shortcut_only_gating +bias -6 +6.91", shown
    )
    assert here("figure", "study=gate_bias", "format=png", cwd=tmp_path).returncode == 0
    assert "gate_bias" in here("status", "study=gate_bias", *SMALL, cwd=tmp_path).stdout


def test_nothing_is_chosen_before_all_are_trained(trained, tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE)

    def train(*words):
        return here("train", "study=mine.yaml", *words, cwd=tmp_path)

    assert train("row=a").returncode == 0 and trained.biases == [-5]
    refused = train("row=best")
    assert refused.returncode == 2 and "train those first" in refused.stderr
    assert train("row=b").returncode == 0 and trained.biases == [-5, -6], "a row that is not asked for is not trained"
    assert train("row=best").returncode == 0 and trained.jobs[-1].config.shortcut.bias == -6


def test_a_row_is_the_best_of_rows_that_can_be_trained(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace("[a, b]", "[a, c]"))
    with pytest.raises(UserError, match="row best is the best of c, which is no row to train"):
        study.load(str(file))
