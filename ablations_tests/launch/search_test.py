"""A search: what a sweeper proposes is trained, and what it is told is what the runs' records say."""

import signal
import statistics
import sys
from types import ModuleType

import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from ablations.launch import run, trials
from ablations.runs.folder import RunFolder, read_records
from ablations.runs.record import write_record
from ablations_tests.conftest import FEW_IMAGES, ONE_UNIT, here

SETTINGS = (*ONE_UNIT, *FEW_IMAGES, "recipe.total_steps=1", "shortcut=exclusive_gating")
BIAS = "shortcut.bias=interval(-10.0,0.0)"


def optuna(*words):
    """The words of a search by the real plugin, one trial at a time."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'ablations[optuna]'")
    return ("train", "-m", *SETTINGS, "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", *words)


class Trained:
    """Stands in for `run.run`: writes records instead of training. The error is 20 points above the bias' distance from -6.

    jobs: those that had no record. stops: the number of batches after which a signal stops one, None for none.
    """

    def __init__(self):
        self.jobs, self.stops = [], None

    def __call__(self, context, jobs, overrides, detach=False):
        if self.stops == 0:
            signal.raise_signal(signal.SIGINT)
            return 130
        self.stops = self.stops and self.stops - 1
        for job in jobs:
            folder = RunFolder.of(job.config)
            if folder.has_record():
                continue
            self.jobs.append(job)
            folder.path.mkdir(parents=True, exist_ok=True)
            bias = job.config.shortcut.bias
            write_record(
                folder.path,
                {
                    "study": job.config.study, "row": job.config.row, "seed": job.config.seed,
                    "status": "diverged" if bias < -9.9 else "done", "train_images_per_second": 100.0 * -bias,
                    "test_error_percent": abs(bias + 6) + 20 + job.config.seed, "steps": 1, "train_images": 160,
                    "wall_seconds": 1.0, "config": job.config.resolved(), "device": "cpu: test", "commit": "0" * 40,
                    "versions": {"jax": "1"},
                },
            )  # fmt: skip
        return 0

    @property
    def biases(self):
        return [job.config.shortcut.bias for job in self.jobs]


@pytest.fixture
def trained(monkeypatch):
    stand_in = Trained()
    monkeypatch.setattr(run, "run", stand_in)
    return stand_in


class Listing(Sweeper):
    """Another plugin's sweeper: proposes one batch, whose values are in a file of the user's, and keeps what it is told."""

    told = ()

    def __init__(self, values):
        self.values = values

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments):
        batch = [
            [*(word for word in arguments if "seed" not in word), f"shortcut.bias={value}"] for value in self.values
        ]
        Listing.told = [result.return_value for result in self.launcher.launch(batch, initial_job_idx=0)]


@pytest.fixture
def listing(monkeypatch, forgotten, tmp_path):
    """The words that choose `Listing`, as a user who has installed a plugin and written a file for it does."""
    module = ModuleType("hydra_plugins.listing")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(module, "Listing", Listing, raising=False)
    monkeypatch.setattr(Listing, "__module__", module.__name__)
    monkeypatch.setattr(Plugins.instance(), "class_name_to_class", {**Plugins.instance().class_name_to_class})
    Plugins.instance().register(Listing)
    (tmp_path / "conf/hydra/sweeper").mkdir(parents=True)
    file = tmp_path / "conf/hydra/sweeper/listing.yaml"
    file.write_text("_target_: hydra_plugins.listing.Listing\nvalues: [-10, -4.0, -3.0, -4.0]\n")
    return ("train", "-m", *SETTINGS, "--config-dir", "conf", "hydra/sweeper=listing")


def test_a_trial_is_a_run_like_any(tmp_path):
    done = here(*optuna(BIAS, "hydra.sweeper.n_trials=1", "hydra/launcher=basic"), cwd=tmp_path)
    assert done.returncode == 0 and "search: 1 of 1 trial, the best first" in done.stdout, done.stderr
    [record] = read_records(tmp_path / "runs", "search")[0]
    result = yaml.safe_load((tmp_path / "runs/search/optimization_results.yaml").read_text())
    assert result["best_value"] == record["test_error_percent"] and record["config"]["data"]["split"] == "train_val"
    assert result["best_params"] == {"shortcut.bias": record["config"]["shortcut"]["bias"]}
    assert record["folder"].hydra.is_dir() and record["folder"].weights_file.exists()


def test_the_result_of_a_search_is_a_table_and_figures(trained, tmp_path):
    """Of two settings, one of them searched on a logarithmic scale."""
    words = optuna(BIAS, "recipe.learning_rate=tag(log,interval(0.01,0.2))", "hydra.sweeper.n_trials=6")
    assert here(*words, cwd=tmp_path).returncode == 0
    assert all(-10 <= bias <= 0 for bias in trained.biases) and len(trained.jobs) == 6
    assert all(0.01 <= job.config.recipe.learning_rate <= 0.2 for job in trained.jobs)
    by_error = sorted(trained.jobs, key=lambda job: abs(job.config.shortcut.bias + 6))
    shown = here("table", "study=runs/search.yaml", cwd=tmp_path).stdout
    places = [shown.index(f"{job.config.row} ") for job in by_error]
    assert places == sorted(places), "the best comes first"
    drawn = here("figure", "study=runs/search.yaml", "format=png", cwd=tmp_path).stdout
    assert "search-error_against_bias.png" in drawn and "search-error_against_learning_rate.png" in drawn


@pytest.mark.parametrize("storage", [(), ("hydra.sweeper.storage=sqlite:///s.db", "hydra.sweeper.study_name=bias")])
def test_a_search_that_was_stopped_goes_on_where_it_was(storage, trained, tmp_path):
    words = optuna(BIAS, "hydra.sweeper.n_trials=4", *storage)
    trained.stops = 2
    stopped = here(*words, cwd=tmp_path)
    assert stopped.returncode == 130 and "the search was stopped; type the same command to go on" in stopped.stderr
    name = "bias" if storage else "search"
    [begun] = {row["row"] for row in rows(tmp_path, name)} - {"best", *(job.config.row for job in trained.jobs)}
    trained.stops = None
    assert here(*words, cwd=tmp_path).returncode == 0
    assert len(trained.jobs) == 4 and trained.jobs[2].config.row == begun, "the trial that was stopped comes first"
    assert {row["row"] for row in rows(tmp_path, name)} - {"best"} == {job.config.row for job in trained.jobs}
    assert here(*words, cwd=tmp_path).returncode == 0 and len(trained.jobs) == 4, "it is done"


def rows(folder, name):
    return yaml.safe_load((folder / f"runs/{name}.yaml").read_text())["rows"]


def test_several_objectives_are_told_in_their_order(trained, tmp_path):
    words = optuna(BIAS, "hydra.sweeper.n_trials=3", "objective=[error,seconds]")
    refused = here(*words, cwd=tmp_path)
    assert "it is hydra.sweeper.direction=[minimize,minimize]" in refused.stderr and not (tmp_path / "runs").exists()
    done = here(*words, "hydra.sweeper.direction=[minimize,minimize]", cwd=tmp_path)
    assert "of which none is better in everything" in done.stdout, done.stderr
    [*solutions] = yaml.safe_load((tmp_path / "runs/search/optimization_results.yaml").read_text())["solutions"]
    for solution in solutions:
        bias = solution["params"]["shortcut.bias"]
        assert solution["values"] == pytest.approx([abs(bias + 6) + 20, 8 / (100 * -bias)])
    assert "objective=secs: legal are error, seconds" in here(*words, "objective=secs", cwd=tmp_path).stderr


def test_any_plugin_s_sweeper_is_told_the_median_over_seeds(listing, trained, tmp_path):
    done = here(*listing, "seeds=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    errors = [statistics.median(22 + seed for seed in range(3)), statistics.median(23 + seed for seed in range(3))]
    assert Listing.told == [trials.DIVERGED_PERCENT, *errors, errors[0]], "a run that diverged has the worst error"
    assert len(trained.jobs) == 9, "what is proposed twice is trained once"


def test_the_best_trial_is_trained_on_all_images(listing, trained, tmp_path):
    assert "ablations train study=runs/search.yaml row=best" in here(*listing, cwd=tmp_path).stdout
    elsewhere = here(*listing, 'runs_dir="a b"', cwd=tmp_path).stdout
    assert """ablations table 'study="a b/search.yaml"' 'runs_dir="a b"'""" in elsewhere
    assert [row["row"] for row in rows(tmp_path, "search")] == [
        *("shortcut.bias=-4.0", "shortcut.bias=-3.0", "shortcut.bias=-10", "best"),
    ]
    assert here("train", "study=runs/search.yaml", cwd=tmp_path).returncode == 0
    last = trained.jobs.pop().config
    assert (last.row, last.shortcut.bias, last.data.split) == ("best", -4.0, "train_test")
    assert len(trained.jobs) == 6, "the trials, three in each of two folders, are rows that are done"


@pytest.mark.parametrize(
    "words,message",
    [
        (("study=table1",), "study=table1: a search makes its own study; choose a new name for it"),
        (("row=identity",), "row=identity: a search makes its own rows"),
        (("--detach",), "--detach: a search waits for its runs"),
        (
            ("recipe.learning_rate=-1",),
            "recipe.learning_rate=-1.0: must be a finite number of at least 0, so the sweeper ended",
        ),
        (("hydra.sweeper.params={shortcut.bias: 1}",), "params are for files; in a command give each value by itself"),
        (("hydra.sweeper.values=4",), "hydra_plugins.listing.Listing: TypeError: 'int' object is not iterable"),
    ],
)
def test_what_cannot_be_searched_is_said_and_nothing_is_written(words, message, listing, tmp_path):
    refused = here(*listing, *words, cwd=tmp_path)
    assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr
    assert not [*(tmp_path / "runs").glob("*")]


def test_a_search_does_not_mix_with_another_one_of_its_name(listing, trained, tmp_path):
    assert here(*listing, cwd=tmp_path).returncode == 0
    other = here(*listing, "recipe.total_steps=2", cwd=tmp_path)
    assert "of a search with other settings (recipe.total_steps=1 there, recipe.total_steps=2 here)" in other.stderr
    assert here(*listing, "recipe.total_steps=2", "study=other", cwd=tmp_path).returncode == 0
    (tmp_path / "runs/mine.yaml").write_text("question: mine?\n")
    assert "was not written by a search" in here(*listing, "study=mine", cwd=tmp_path).stderr


def test_a_search_on_the_test_set_says_so(listing, trained, tmp_path):
    done = here(*listing, "data.split=train_test", cwd=tmp_path)
    assert "data.split=train_val takes those of images that are held out" in done.stderr
    assert "best" not in [row["row"] for row in rows(tmp_path, "search")]


@pytest.mark.parametrize(
    "word,message",
    [
        ("activation=glob(o*)", "activation=glob(o*): a search takes a list of choices: 'activation=choice(original)'"),
        (
            "shortcut.bias=interval(-1,-2)",
            "an interval has a lower and a higher end, as 'shortcut.bias=interval(-2.0,-1.0)'",
        ),
        (
            "recipe.learning_rat=interval(0.01,0.1)",
            "ablations: recipe.learning_rat: there is no such setting; legal are",
        ),
        ("recipe.learning_rat=choice(0.01,0.1)", "ablations: recipe.learning_rat: there is no such setting; legal are"),
        ("seed=interval(0,4)", "a search is among settings, never among seeds: list them, as seed=0,1,2"),
        ("hydra.sweep.subdir=x", "hydra.sweep.subdir=x: a run's folder is RUNS_DIR/STUDY/ROW/seed=K"),
    ],
)
def test_what_is_no_range_is_said_before_the_first_trial(word, message, trained, tmp_path):
    refused = here(*optuna(word), cwd=tmp_path)
    assert refused.returncode == 2 and message in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
    assert not list(tmp_path.iterdir()) and not trained.jobs


def test_a_search_is_not_planned_as_a_study(tmp_path):
    _, _, *words = optuna(BIAS, "study=mine")
    refused = here("plan", *words, cwd=tmp_path)
    assert refused.returncode == 2 and "the runs of a search are not known before they are trained" in refused.stderr
