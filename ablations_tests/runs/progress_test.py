"""How a person sees runs while they train."""

from dataclasses import replace

import pytest

from ablations.runs.progress import titles
from ablations_tests.conftest import configure


@pytest.fixture(scope="module")
def config():
    return configure()


def seen(config, *rows, study="single", columns=132):
    return titles([replace(config, study=study, row=row) for row in rows], columns)


def test_of_several_runs_only_what_differs_is_shown(config):
    shared = "recipe.total_steps=4,recipe.drop_fractions=[0.5,0.75]"
    rows = [f"{shared},shortcut=dropout", f"{shared},shortcut=exclusive_gating,shortcut.bias=-6", shared]
    assert seen(config, *rows) == [
        "shortcut=dropout seed=0", "shortcut=exclusive_gating,shortcut.b… seed=0", "default seed=0",
    ]  # fmt: skip
    seeds = [replace(config, row="shortcut=dropout", seed=seed) for seed in (0, 1)]
    assert titles(seeds, 132) == ["shortcut=dropout seed=0", "shortcut=dropout seed=1"]


def test_a_study_s_run_is_called_as_its_row(config):
    assert seen(config, "conv1x1,data=cifar10", "dropout,data=cifar10", study="table1") == [
        "conv1x1 seed=0", "dropout seed=0",
    ]  # fmt: skip


@pytest.mark.parametrize("columns,width", [(40, 24), (100, 32), (200, 44)])
def test_a_long_title_leaves_room_for_the_figures(config, columns, width):
    [title] = seen(config, "recipe.total_steps=4,recipe.batch_size=8,model.depth=8", columns=columns)
    assert len(title) == width and title.endswith("… seed=0")


def test_two_runs_never_look_alike(config):
    rows = [
        "shortcut=constant_scaling,shortcut.residual_scale=0.5",
        "shortcut=constant_scaling,shortcut.residual_scale=1.5",
    ]
    assert seen(config, *rows, "model=resnet20", columns=80) == [f"{row} seed=0" for row in [*rows, "model=resnet20"]]
