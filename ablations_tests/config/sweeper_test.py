"""What a user's files say about the sweeper is what the command does."""

import pytest

from ablations.config import compose, jobs, searchpath
from ablations.errors import UserError


def biases(*words):
    with compose.hydra() as context:
        return [job.config.shortcut.bias for job in jobs.plan(context, ["shortcut=exclusive_gating", *words])]


@pytest.fixture
def conf(tmp_path, forgotten):
    """A folder of the user's, with params in a choice of the sweeper and in a file for everything."""
    for group in ("hydra/sweeper", "search"):
        (tmp_path / group).mkdir(parents=True)
    params = "params: {shortcut.bias: '-6,-7', recipe.total_steps: 5}\n"
    (tmp_path / "hydra/sweeper/mine.yaml").write_text(f"defaults: [basic]\n{params}")
    (tmp_path / "search/mine.yaml").write_text(f"# @package _global_\nhydra:\n  sweeper:\n    {params}")
    searchpath.add(str(tmp_path), "--config-dir")


@pytest.mark.parametrize("word", ["hydra/sweeper=mine", "+search=mine"])
def test_params_in_a_file_are_values_of_the_command(word, conf):
    assert biases(word) == [-6, -7]
    assert biases(word, "shortcut.bias=-1") == [-1], "the command has the last word"
    assert biases() == [-6], "a file that is not chosen says nothing"


def test_a_range_or_a_search_is_no_list_of_runs():
    with pytest.raises(UserError, match=r"list the values, .*to search among all of them.*hydra/sweeper=optuna"):
        biases("shortcut.bias=interval(-10,0)")
    with pytest.raises(UserError, match="hydra/sweeper=ax needs a plugin: pip install hydra-ax-sweeper"):
        biases("hydra/sweeper=ax")
