"""From overrides to jobs: names, studies, seeds."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from hydra.types import RunMode

from ablations.config import compose, searchpath, study
from ablations.config import jobs as sweep
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.runs.record import first_difference
from ablations.tables.protocol import paper_lines


def jobs(*overrides):
    with compose.hydra() as context:
        return sweep.plan(context, list(overrides))


def folders(*overrides):
    return [str(RunFolder.of(job.config)) for job in jobs(*overrides)]


def test_a_run_is_named_by_what_differs_from_the_defaults():
    assert folders() == ["runs/single/default/seed=0"]
    assert folders("shortcut=identity", "model=resnet110", "data=digits", "seed=3") == ["runs/single/default/seed=3"]
    line = "shortcut=exclusive_gating shortcut.bias=-6 activation=original model=resnet110 data=digits recipe=digits"
    assert folders(*line.split()) == ["runs/single/shortcut=exclusive_gating,shortcut.bias=-6/seed=0"]
    assert folders("runs_dir=/tmp/x", "force=true", "unroll=true") == ["/tmp/x/single/default/seed=0"]
    assert folders("matmul_precision=default") == ["runs/single/default/seed=0"], "the name that results have already"
    assert folders("matmul_precision=highest") == ["runs/single/matmul_precision=highest/seed=0"]


def test_a_long_name_is_cut_and_stays_its_own():
    long = [f"recipe.drop_fractions=[{','.join(['0.5'] * 60)}]"]
    name, other = (
        Path(folders(*overrides)[0]).parent.name for overrides in (long, [*long, "seed=1", "recipe.momentum=0"])
    )
    assert len(name) < 100 and name != other
    assert other.startswith("recipe.momentum=0,"), "a setting that there is room for is whole"


def test_a_folder_keeps_the_longer_name_that_an_older_version_gave_it(tmp_path):
    line = ["study=table1", "row=identity", "seed=0", "model=resnet20", f"runs_dir={tmp_path}"]
    line += [
        "recipe.total_steps=400",
        "data.train_images=500",
        "recipe.weight_decay=0.0002",
        "recipe.learning_rate=0.02",
    ]
    older = ",".join(["identity", *(word for word in line[3:] if not word.startswith("runs_dir"))])
    assert len(older) > 100
    [folder] = folders(*line)
    name = Path(folder).parent.name
    assert len(name) < 100 and name.startswith("identity,model=resnet20,recipe.total_steps=400,data.train_images=500,")
    (tmp_path / "table1" / older).mkdir(parents=True)
    assert folders(*line) == [str(tmp_path / "table1" / older / "seed=0")]


@pytest.mark.parametrize(
    "line",
    [
        "shortcut=exclusive_gating shortcut.bias=-3 study=tiny row='a,b' seed=4",
        "model.depth=20 model=resnet20 recipe=paper recipe.total_steps=200 hydra/launcher=joblib hydra.launcher.n_jobs=2",
        "+more=1 seed=3 ~recipe.probe_every",
        "activation=original activation.after_addition=[] recipe.drop_fractions=[0.5,0.75]",
        "seed=x",
        "shortcut.bias=1",
    ],
)
def test_what_is_composed_once_is_what_hydra_composes(line):
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    def composed(load):
        try:
            return OmegaConf.to_container(load())
        except HydraException as error:
            return type(error), str(error), str(error.__cause__)

    def whole(loader):
        return composed(lambda: loader.load_configuration("config", line.split(), RunMode.MULTIRUN))

    def job(load):
        found = composed(lambda: load(compose.compose(context, ["hydra/launcher=basic"]), line.split()))
        return {key: found[key] for key in found if key != "hydra"} if isinstance(found, dict) else found

    with compose.hydra() as context:
        ours = context.config_loader()
        hydras = ConfigLoaderImpl(ours.get_search_path())
        assert whole(ours) == whole(ours) == whole(hydras)
        assert job(ours.load_job) == job(ours.load_job) == job(hydras.load_sweep_config)


def test_a_choice_that_a_users_configuration_leaves_open_is_asked_for(tmp_path, forgotten):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "slow.yaml").write_text("# @package _global_\nthreads: 2\n")
    (tmp_path / "mine.yaml").write_text("defaults: [config, {more: '???'}, _self_]\n")
    searchpath.add(str(tmp_path), "--config-dir")
    searchpath.choose("mine")
    with pytest.raises(UserError, match="You must specify 'more'"):
        jobs()
    assert [job.config.threads for job in jobs("more=slow")] == [2]


def test_a_job_on_several_hosts_is_one_run_of_several_processes():
    def chosen(*line):
        return jobs(*line)[0].config.distributed.name

    assert chosen("hydra/launcher=slurm_multinode") == "slurm" and chosen("hydra/launcher=slurm") == "none"
    assert chosen("hydra/launcher=slurm", "hydra.launcher.nodes=3") == "slurm"
    assert chosen("hydra/launcher=slurm_multinode", "distributed=none") == "none"
    assert folders("hydra/launcher=slurm_multinode") == folders()


def test_a_setting_has_a_name_where_it_changes_what_the_network_chooses():
    """tutorial44 chooses full pre-activation and decay of convolutions."""
    plain = folders("model=tutorial44")
    assert folders("model=tutorial44", "activation=original") != plain
    assert folders("model=tutorial44", "recipe.weight_decay_on=all") != plain
    assert folders("model=resnet20", "activation=original") == folders("model=resnet20")


def test_a_sweep_is_all_combinations():
    found = folders("shortcut=identity,dropout", "seed=0,1,2")
    assert len(found) == 6 == len(set(found))
    assert folders("seeds=3") == folders("seed=0,1,2")


# Rows: of the paper's tables those that can be run, of the others all combinations.
ROWS = {"demo": 16, "table1": 16, "table2": 10, "table3": 12, "table4": 9, "degradation": 8, "depth": 48, "gates": 45}
ROWS |= {"depth_orders": 30, "scaling": 30, "switches": 19, "table5": 5, "unet": 7, "families": 64, "densenet": 8}
ROWS |= {"mobilenet": 16, "cardinality": 9, "plain": 14, "concatenation": 5, "wide_dropout": 2, "gate_bias": 22}


def of_each_choice(rows):
    """The rows, of a grid only so many that each choice of each axis is in one: no check is of two axes together."""
    seen = set()
    for row in rows:
        choices = set(enumerate(row.choices))
        if not choices or choices - seen:
            seen |= choices
            yield row.name


@pytest.mark.parametrize("name", study.names())
def test_every_study_composes_and_its_rows_are_the_papers(name):
    trained = [row.name for row in study.load(name).rows_for(None)]
    assert len(trained) == len(set(trained)) == ROWS[name]
    some = [*of_each_choice(study.load(name).rows_for(None))]
    made = jobs(f"study={name}", "seeds=1", *([f"row={','.join(some)}"] if len(some) < len(trained) else []))
    assert [study.load(name).row_of(job.config.row) for job in made] == some
    assert len({RunFolder.of(job.config) for job in made}) == len(made)
    rows, paper = [row.name for row in study.load(name).rows], paper_lines(study.load(name).paper_table)
    if name.startswith(("table", "degradation")):
        assert rows == list(paper), "the paper's rows in the paper's order, none else"
    elif name == "demo":
        assert {row for row in rows if row.endswith("_110")} < set(paper) and "identity_20" in paper
    else:
        assert set(paper) <= set(rows)


def test_another_data_set_takes_the_place_of_the_first():
    made = jobs("study=table3", "data=digits", "recipe=digits", "seeds=1")
    assert len(made) == 8 and {job.config.data.name for job in made} == {"digits"}
    assert RunFolder.of(made[0].config).row == "resnet110_1layer_original,data=digits,recipe=digits"
    assert [j.config.row for j in jobs("study=table3", "data=cifar100", "seeds=1")] == [
        row.name for row in study.load("table3").rows if row.data == "cifar100"
    ]
    assert {(j.config.data.name, j.config.recipe.name) for j in jobs("study=table3", "seeds=1")} == {
        ("cifar10", "paper"), ("cifar100", "paper"),
    }  # fmt: skip
    (chosen,) = jobs("study=table3", "row=resnet110_1layer_original", "data=cifar100", "seeds=1")
    assert chosen.config.data.name == "cifar100"


def test_somebody_else_s_method_cannot_be_run():
    assert len(jobs("study=table4", "data=digits", "seeds=1")) == 5
    with pytest.raises(UserError, match="another paper's method"):
        jobs("study=table4", "row=highway")
    with pytest.raises(UserError, match="another test of row resnet152_original"):
        jobs("study=table5", "row=resnet152_original_crop224")


def test_a_grid_is_every_combination_and_its_baseline_stands_beside_each():
    rows = {row.name: row for row in study.load("depth").rows}
    assert rows["conv1x1_56"].overrides == ("shortcut=conv1x1", "model=resnet56")
    assert rows["conv1x1_56"].baseline == "identity_56" and rows["identity_56"].baseline == ""
    assert rows["conv1x1_56"].choices == ("conv1x1", "56") and rows["conv1x1_164"].overrides[1:] == (
        *("model=resnet110", "model.depth=164"),
    )
    gates = {row.name: row for row in study.load("gates").rows}
    assert gates["two_conv3x3_bn_no_relu_-6"].baseline == "identity"


def test_table1_is_the_paper_s():
    made = {job.config.row: job.config for job in jobs("study=table1", "seeds=1")}
    assert all(c.model.name == "resnet110" and c.activation.name == "original" for c in made.values())
    scales = [
        (c.shortcut.shortcut_scale, c.shortcut.residual_scale)
        for n, c in made.items()
        if n.startswith(("plain", "const"))
    ]
    assert scales == [(0, 1), (0.5, 1), (0.5, 0.5)]
    assert [c.shortcut.bias for n, c in made.items() if n.startswith("excl")] == [0, -1, -2, -3, -4, -5, -6, -7]
    assert [c.shortcut.bias for n, c in made.items() if n.startswith("shortcut_only")] == [0, -6]
    assert made["conv1x1"].shortcut.bn and made["dropout"].shortcut.rate == 0.5


def test_a_study_keeps_its_folder_and_another_protocol_gets_its_own():
    assert "runs/table1/identity/seed=0" in folders("study=table1", "data=digits", "recipe=digits")
    assert "runs/table1/identity,recipe=paper/seed=0" in folders("study=table1", "recipe=paper")


def test_a_row_of_ones_own():
    assert folders("study=table1", "row=mine", "shortcut=dropout", "shortcut.rate=0.1", "seed=0") == [
        "runs/table1/mine,shortcut=dropout,shortcut.rate=0.1/seed=0"
    ]
    assert len(jobs("study=table1", "row=identity,dropout", "seeds=2")) == 4


def test_a_study_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("question: which?\nseeds: 2\nrows:\n  - {row: a, overrides: [model=resnet20]}\n")
    assert [RunFolder.of(job.config).path.parent for job in jobs(f"study={file}")] == [Path("runs/mine/a")] * 2
    file.write_text("question: which?\nseeds: 2\nrows:\n  - {row: a, overrides: [shortcut=dropuot]}\n")
    with pytest.raises(UserError, match=f"^{file}, line 4, row a: shortcut=dropuot: unknown; legal are"):
        jobs(f"study={file}")
    file.write_text(file.read_text().replace("dropuot", "dropout"))
    with pytest.raises(UserError, match="^recipe.x: there is no such setting"):
        jobs(f"study={file}", "recipe.x=1")


@pytest.mark.parametrize(
    "name,setting,message",
    [
        ("a", "+shortcut.foo=1", ", row a: shortcut.foo: there is no such setting"),
        ("a", "++foo=1", ", row a: foo: there is no such setting"),
        ("a", "'shortcut=identity,dropout'", ", row a: shortcut=identity,dropout: a row has one value of each setting"),
        ("a", "'seed_=range(1,3)'", ", row a: seed_=range.1,3.: a row has one value of each setting"),
        ("a" * 300, "model=resnet20", f", row {'a' * 300}: the name is too long for a folder"),
    ],
)
def test_a_mistake_in_a_row_is_told_with_its_line(name, setting, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"question: which?\nseeds: 2\nrows:\n  - {{row: {name}, overrides: [{setting}]}}\n")
    with pytest.raises(UserError, match=f"^{file}, line 4{message}"):
        jobs(f"study={file}")


def test_a_plus_before_a_setting_that_there_is_changes_nothing(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("question: which?\nseeds: 1\nrows:\n  - {row: a, overrides: [+model.depth=8]}\n")
    assert jobs(f"study={file}")[0].config.model.depth == 8


def test_what_is_typed_twice_is_one_run():
    assert len(jobs("model=resnet20,resnet20", "seed=1,1")) == 1


def test_what_is_found_twice_is_one_number():
    first = {"a": 1, "b": {"c": 2}}
    assert first_difference(first, {"a": 1, "b": {"c": 3}}) == ("b.c", 2, 3)
