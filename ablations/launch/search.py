"""A search: a sweeper of one of Hydra's plugins proposes values, batch after batch, and is told what they give.

It is a study whose rows the sweeper chooses: each batch is planned, trained and recorded as the rows of any study, and
what is proposed twice is trained once. `search_file.py` is that study.
"""

import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ablations.config import jobs as sweep
from ablations.config import study as studies
from ablations.config import sweeper as sweepers
from ablations.config.compose import check_launcher, compose
from ablations.config.jobs import Job
from ablations.config.run import Config, listed_objectives
from ablations.config.study import Row
from ablations.errors import UserError
from ablations.launch import optuna, run, search_file
from ablations.launch.search_file import SearchFile
from ablations.runs.folder import RunFolder
from ablations.setting import decides
from ablations.system import interrupt, lock
from ablations.terminal import grid

NAME = "search"  # of a search without a name
SHOWN = 10  # trials at the end of a search
DIVERGED_PERCENT = 100.0  # the error of a run that diverged, as in figures


class Together(Launcher):
    """What a sweeper gets for Hydra's launcher: it hands each batch of trials to the search as a whole."""

    def __init__(self, train: Callable[[Sequence[Sequence[str]]], list[JobReturn]]):
        self.train = train

    def setup(self, *, hydra_context, task_function, config) -> None:
        pass

    def launch(self, job_overrides, initial_job_idx):
        return self.train(job_overrides)


class Result(JobReturn):
    """What a sweeper is told about a trial: its values, or the error that it raises."""

    @property
    def return_value(self):
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value


def is_search(context: GlobalHydra, overrides: list[str]) -> bool:
    """Whether a command chooses a sweeper that searches."""
    return not sweepers.is_basic(sweepers.chosen(context, sweepers.read(context, overrides)))


@dataclass
class Search:
    """file: where its trials are listed. fixed: the keys that the command gives one value.

    words: the settings of the command that decide no result, and its seeds. objectives: what the sweeper is told.
    planned: the runs of each trial, one a seed; or why it has none. error: what ended a batch.
    """

    context: GlobalHydra
    file: SearchFile
    fixed: frozenset[str]
    words: list[str]
    objectives: list[str]
    planned: dict[str, list[Job] | UserError] = field(default_factory=dict)
    error: BaseException | None = None

    def train(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Train the trials that are not done yet, and return the values of all; the sweeper's task function."""
        try:
            return self._train(batch)
        except BaseException as error:
            self.error = error
            raise

    def _train(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        if interrupt.exit_code() is not None:
            raise interrupt.NotStarted()
        trials = [search_file.row([word for word in words if _key(word) not in self.fixed]) for words in batch]
        of_trials = {trial.name: self._plan(trial) for trial in trials}
        self._note([trial for trial in trials if isinstance(of_trials[trial.name], list)])
        jobs = [job for planned in of_trials.values() if isinstance(planned, list) for job in planned]
        code = run.run(self.context, jobs, self.words)
        self._note([])
        if code > 128 or interrupt.exit_code() is not None:
            raise interrupt.Interrupted(f"the search was stopped; {interrupt.GO_ON}")
        return [self._result(trial, words) for trial, words in zip(trials, batch, strict=True)]

    def _plan(self, trial: Row) -> list[Job] | UserError:
        if trial.name not in self.planned:
            try:
                planned = sweep.plan(self.context, self.words, replace(self.file.study, rows=(trial,)))
            except UserError as error:
                planned = error
            self.planned[trial.name] = planned
        return self.planned[trial.name]

    def _result(self, trial: Row, words: Sequence[str]) -> JobReturn:
        values = self._values(trial)
        status = JobStatus.FAILED if isinstance(values, UserError) else JobStatus.COMPLETED
        one = isinstance(values, tuple) and len(values) == 1
        return Result(overrides=words, status=status, _return_value=values[0] if one else values)

    def _values(self, trial: Row) -> tuple[float, ...] | UserError:
        """Of each objective the median over the seeds; the reason if a run has no record."""
        records = []
        if isinstance(planned := self._plan(trial), UserError):
            return planned
        for job in planned:
            if (record := (folder := RunFolder.of(job.config)).record()) is None:
                return UserError(f"{folder} has no result: {folder.failure() or 'it was not trained'}")
            records.append(record)
        return tuple(statistics.median(value(record, name) for record in records) for name in self.objectives)

    def found(self) -> list[tuple[Row, tuple[float, ...]]]:
        """The trials that have a result, with their values, the lowest first."""
        values = [(row, self._values(row)) for row in self.file.rows()]
        return sorted(((row, of_row) for row, of_row in values if isinstance(of_row, tuple)), key=lambda pair: pair[1])

    def _note(self, trials: list[Row]) -> None:
        """Add trials to the file, in which those with the lowest value come first and those without one last."""
        rows = {row.name: row for row in [*self.file.rows(), *trials]}
        if rows:
            best = {row.name: row for row, _ in self.found()}
            self.file.write([*(best | rows).values()])


def value(record: dict, objective: str) -> float:
    """An objective of a finished run. The error is in percent; the seconds are those of all training steps, without
    compiling and tests, so that they say nothing of what had been compiled before.
    """
    if objective == "error":
        return DIVERGED_PERCENT if record["status"] == "diverged" else record["test_error_percent"]
    if objective == "seconds":
        recipe = record["config"]["recipe"]
        return recipe["total_steps"] * recipe["batch_size"] / record["train_images_per_second"]
    return float(record[objective])


def train(context: GlobalHydra, overrides: list[str]) -> int:
    """Let the sweeper that a command chooses search, and show what it found. Returns the exit code.

    Raises UserError for what cannot be searched, and if a trial has no result and the sweeper takes that for the end.
    """
    check_launcher(overrides)
    parsed = sweepers.read(context, overrides)
    name, asked = _name(parsed), [o for o in parsed if o.key_or_group not in ("study", "seed", "seeds")]
    master = compose(context, [str(override.input_line) for override in asked])
    search = _search(context, master, parsed, name or master.hydra.sweeper.get("study_name") or NAME)
    folder = search.file.path.with_suffix("")
    search.file.rows()  # before anything is written
    if optuna.is_optuna(master.hydra.sweeper):
        optuna.check(master.hydra.sweeper, search.objectives)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}; choose another runs_dir=...") from error
    with open_dict(master):
        if not any(override.key_or_group == "hydra.sweep.dir" for override in parsed):
            master.hydra.sweep.dir = str(folder)
    Path(master.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
    with interrupt.listening() as stop, lock.hold(folder) as alone, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"hydra_plugins|optuna|sqlalchemy|alembic")
        try:
            _sweep(context, master, search, alone=alone)
        except interrupt.Interrupted as error:
            print(f"ablations: {error}", file=sys.stderr)
    _show(search)
    return stop.exit_code or 0


def _sweep(context: GlobalHydra, master: DictConfig, search: Search, *, alone: bool) -> None:
    is_optuna = optuna.is_optuna(master.hydra.sweeper)
    try:
        if is_optuna:
            optuna.resume(master.hydra.sweeper, alone=alone)
        with patch.object(Plugins.instance(), "instantiate_launcher", lambda *_, **__: Together(search.train)):
            sweeper = Plugins.instance().instantiate_sweeper(
                hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=Callbacks()),
                task_function=lambda _: None,  # which only a launcher calls
                config=master,
            )
        if is_optuna:
            optuna.quiet()
        sweeper.sweep(list(master.hydra.overrides.task))
    except Exception as error:
        if error is search.error or isinstance(error, UserError):
            raise
        raise UserError(f"{master.hydra.sweeper._target_}: {type(error).__name__}: {error}") from error


def _name(parsed: list[Override]) -> str | None:
    """The name that a command gives its search; None if it gives none."""
    words = {override.key_or_group: str(override.input_line) for override in parsed}
    if "row" in words:
        raise UserError(f"{words['row']}: a search has no rows until it has begun; leave it out")
    name = words["study"].partition("=")[2].strip("'\"") if "study" in words else None
    if name in studies.names() or (name or "").endswith((".yaml", "/")):
        raise UserError(
            f"study={name}: a study has rows of its own, and a search makes its own; choose another name for the search, "
            "as study=my_search, or leave out the sweeper"
        )
    return name


def _search(context: GlobalHydra, master: DictConfig, parsed: list[Override], name: str) -> Search:
    """The search that a command asks for. Raises UserError if it names an objective that there is not."""
    try:
        objectives = listed_objectives(master.objective)
    except ValueError as error:
        raise UserError(str(error)) from error
    own = [
        o
        for o in parsed
        if o.key_or_group != "study" and not o.key_or_group.startswith(("hydra/sweeper", "hydra.sweep"))
    ]
    single = [o for o in own if not o.is_sweep_override() and not o.is_hydra_override()]
    common = {
        sweepers.key(context, o): o for o in single if decides(Config, o.key_or_group) and o.key_or_group != "seed"
    }
    words = [str(o.input_line) for o in own if o.is_hydra_override() or o.key_or_group in ("seed", "seeds")]
    words += [str(o.input_line) for o in single if not decides(Config, o.key_or_group) and o.key_or_group != "seeds"]
    file = SearchFile(
        Path(master.runs_dir) / f"{name}.yaml",
        tuple(f"{key}={o.get_value_element_as_str()}" for key, o in common.items()),
        len(sweep.seeds_of(context, words)),
        master.data.split == "train_val",
    )
    if "error" in objectives and not file.chooses:
        print(
            "ablations: this search chooses by the errors of the test set; data.split=train_val takes those of images that "
            "are held out, and leaves the test set for the result",
            file=sys.stderr,
        )
    fixed = frozenset(o.get_key_element() for o in single)
    return Search(context, file, fixed, words, objectives)


def _key(word: str) -> str:
    return word.partition("=")[0]


def _show(search: Search) -> None:
    """Print the best trials, and what to type to see and do more."""
    found, several = search.found(), len(search.objectives) > 1
    if not found:
        return
    best = (
        [pair for pair in found if not any(_beats(other, pair[1]) for _, other in found)] if several else found[:SHOWN]
    )
    what = "of which none is better in everything" if several else "the best first"
    heads = [f"{name} (%)" if name == "error" else name for name in search.objectives]
    rows = [
        row.settings | dict(zip(heads, (f"{number:.4g}" for number in values), strict=True)) for row, values in best
    ]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    where = "" if search.file.path.parent == Path("runs") else f" runs_dir={search.file.path.parent}"
    line = f"study={search.file.path}{where}"
    notes = [
        f"All {len(found)} trials: ablations table {line}",
        f"Their errors against the values: ablations figure {line}",
    ]
    if search.file.chooses:
        seeds = "".join(f" {word}" for word in search.words if word.startswith(("seed=", "seeds=")))
        notes.append(
            f"The one with the lowest error, trained on all training images and tested on the test set: ablations train "
            f"{line} row={search_file.BEST}{seeds}"
        )
    cells = [{key: row.get(key, "") for key in keys} for row in rows]
    grid.show(f"{search.file.path.stem}: {len(best)} of {len(found)} trials, {what}", cells, tuple(keys), notes)


def _beats(values: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Whether no value is higher and one is lower."""
    return values != others and all(mine <= theirs for mine, theirs in zip(values, others, strict=True))
