"""The trials of a search: each is a row of a study, planned, trained and recorded as any; its results are the sweeper's."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from ablations.config import jobs as sweep
from ablations.config.jobs import Job
from ablations.config.study import Row
from ablations.errors import UserError
from ablations.launch import run, search_file
from ablations.launch.search_file import SearchFile
from ablations.runs.folder import RunFolder
from ablations.system import interrupt
from ablations.terminal.output import tell

DIVERGED_PERCENT = 100.0  # the error of a run that diverged, as in figures


class Together(Launcher):
    """What a sweeper gets for Hydra's launcher: it hands over each batch of trials as a whole."""

    def __init__(self, train: Callable[[Sequence[Sequence[str]]], list[JobReturn]]):
        self.train = train

    def setup(self, *, hydra_context, task_function, config) -> None:
        pass

    def launch(self, job_overrides, initial_job_idx):
        return self.train(job_overrides)


class Result(JobReturn):
    """What a sweeper is told about a trial: its values, or the error that it raises, which is not printed here."""

    @JobReturn.return_value.getter
    def return_value(self):
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value


@dataclass
class Trials:
    """file: where they are listed. fixed: the keys to which the command gives one value.

    words: the settings of the command that decide no result, and its seeds. objectives: what the sweeper is told, as in
        `OBJECTIVES`.
    planned: the runs of each trial, one a seed; or why it has none. failures: the reasons that the sweeper was told.
    error: what ended a batch.
    """

    context: GlobalHydra
    file: SearchFile
    fixed: frozenset[str]
    words: list[str]
    objectives: list[str]
    planned: dict[str, list[Job] | UserError] = field(default_factory=dict)
    failures: list[UserError] = field(default_factory=list)
    error: BaseException | None = None

    def train(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Train those that are not done yet. Returns for each its value, or a list of several, or its failure.

        Raises Interrupted if a signal stopped them, and what `run.run` raises.
        """
        try:
            return self._train(batch)
        except BaseException as error:
            self.error = error
            raise

    def _train(self, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        if interrupt.exit_code() is not None:
            raise interrupt.NotStarted()
        trials = [
            search_file.row([word for word in words if word.partition("=")[0] not in self.fixed]) for words in batch
        ]
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
                tell(f"ablations: {trial.name}: {error}")
            self.planned[trial.name] = planned
        return self.planned[trial.name]

    def _note(self, trials: list[Row]) -> None:
        """Add trials to the file, in which those with the lowest value come first and those without one last."""
        with self.file.locked():  # another search of this name adds to it, too
            rows = {row.name: row for row in [*self.file.rows(), *trials]}
            if rows:
                found = [row for row, _ in self.found()]
                names = {row.name for row in found}
                self.file.write(found, [row for row in rows.values() if row.name not in names])

    def _result(self, trial: Row, words: Sequence[str]) -> JobReturn:
        values = self._values(trial)
        if isinstance(values, UserError):
            self.failures.append(values)
            return Result(overrides=words, status=JobStatus.FAILED, _return_value=values)
        given = values[0] if len(self.objectives) == 1 else values
        return Result(overrides=words, status=JobStatus.COMPLETED, _return_value=given)

    def _values(self, trial: Row) -> list[float] | UserError:
        """Of each objective the median over the seeds; the reason if a run has no record."""
        records = []
        if isinstance(planned := self._plan(trial), UserError):
            return planned
        for job in planned:
            if (record := (folder := RunFolder.of(job.config)).record()) is None:
                return UserError(f"{folder} has no result")
            records.append(record)
        return [statistics.median(value(record, name) for record in records) for name in self.objectives]

    def found(self) -> list[tuple[Row, list[float]]]:
        """All that have a result, in this search and before it, with their values, the lowest first."""
        values = [(row, self._values(row)) for row in self.file.rows()]
        return sorted(((row, of_row) for row, of_row in values if isinstance(of_row, list)), key=lambda pair: pair[1])


def value(record: dict, objective: str) -> float:
    """An objective of a finished run. The error is in percent; the seconds are those of all training steps, without
    compiling and tests, so that they say nothing of what had been compiled before or of a run that diverged early.
    """
    if objective == "error":
        return DIVERGED_PERCENT if record["status"] == "diverged" else record["test_error_percent"]
    if objective == "seconds":
        recipe = record["config"]["recipe"]
        return recipe["total_steps"] * recipe["batch_size"] / record["train_images_per_second"]
    return float(record[objective])
