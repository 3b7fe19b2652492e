"""`ablations status`: what is done, runs, waits and has failed, from the runs' folders, what was submitted, and the queue.

Imports no JAX, and Hydra only where it is asked for the runs of a command.
"""

import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ablations.config import study as studies
from ablations.costs import cost
from ablations.launch import worker
from ablations.launch.slurm import commands
from ablations.runs import progress, submitted
from ablations.runs.folder import RunFolder, run_folders
from ablations.runs.record import UnreadableRecord
from ablations.runs.submitted import Submission
from ablations.system import lock
from ablations.training import checkpoint

# waiting: submitted, and not started or to be started again. missing: nobody has been asked to run it.
STATES = ("done", "running", "waiting", "failed", "interrupted", "missing")


@dataclass(frozen=True)
class Run:
    """One run.

    step: how far it is; total_steps: None where that is not known yet. whole_seconds: what a finished run took,
    or one that runs will take; seconds_left: of one that runs. note: where it runs, why it waits or failed.
    """

    row: str
    seed: int
    state: str
    step: int = 0
    total_steps: int | None = None
    whole_seconds: float | None = None
    seconds_left: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Status:
    """Of one study."""

    study: str
    folder: Path
    runs: tuple[Run, ...]

    def count(self, state: str) -> int:
        return sum(run.state == state for run in self.runs)

    @property
    def at_a_time(self) -> int:
        return max(1, self.count("running"))

    def seconds_left(self, runs: list[Run] | tuple[Run, ...]) -> float | None:
        """Until these runs are done, as many at a time as run now; None where no run says how long one takes."""
        left = [self._left(run) for run in runs if run.state != "done"]
        known = [seconds for seconds in left if seconds is not None]
        return cost.elapsed(known, self.at_a_time) if len(known) == len(left) else None

    def _left(self, run: Run) -> float | None:
        """What a run has to go: by itself, or by what others of its row take, or of the study."""
        if run.seconds_left is not None:
            return run.seconds_left
        whole = [one.whole_seconds for one in self.runs if one.row == run.row and one.whole_seconds is not None]
        whole = whole or [one.whole_seconds for one in self.runs if one.whole_seconds is not None]
        if not whole:
            return None
        return statistics.median(whole) * (1 - run.step / run.total_steps if run.total_steps else 1)


def of_folder(of_study: Path) -> Status:
    """All runs that a study's folder knows of: those that have a folder, and those that were submitted."""
    latest = submitted.latest(of_study)
    names = {folder.name for folder in run_folders(of_study.parent, of_study.name)} | set(latest)
    rows = [row.name for row in studies.load(of_study.name).rows] if of_study.name in studies.names() else []

    def order(name: str) -> tuple:
        row, seed = _parts(name)
        base = row.partition(",")[0]
        return rows.index(base) if base in rows else len(rows), row, seed

    return Status(of_study.name, of_study, _look(of_study, sorted(names, key=order), latest))


def of_jobs(jobs: list) -> Status:
    """The runs of a command."""
    folders = [RunFolder.of(job.config) for job in jobs]
    of_study, names = folders[0].study_folder, [folder.name for folder in folders]
    return Status(of_study.name, of_study, _look(of_study, names, submitted.latest(of_study)))


def _parts(name: str) -> tuple[str, int]:
    row, _, seed = name.rpartition("/seed=")
    return row, int(seed) if seed.isdigit() else 0


def _look(of_study: Path, names: list[str], latest: dict[str, Submission]) -> tuple[Run, ...]:
    lives = cache(lambda submission_logs: lock.is_held(Path(submission_logs)))
    folders = {name: RunFolder(of_study / name) for name in names}
    runs = {name: _done(folder) for name, folder in folders.items()}
    begun = {name: latest.get(name) for name, run in runs.items() if run is None}
    jobs = {name: of.jobs[name] for name, of in begun.items() if of and of.launcher == "slurm"}
    queue = commands.queue(jobs.values())
    for name, of in begun.items():
        runs[name] = _on_its_way(folders[name], of, jobs.get(name), queue or {}, lives)
    lost = [name for name in begun if runs[name] is None]
    over = [jobs[name] for name in lost if name in jobs]
    states = commands.ended(over) if over and queue is not None else {}
    stopped = {name: _stopped(folders[name], jobs.get(name), queue, states) for name in lost}
    return tuple(runs[name] or stopped[name] for name in names)


def _done(folder: RunFolder) -> Run | None:
    """A run that has a record; None for another."""
    # With force=true another one is trained in its place; one that was killed has left the file behind.
    if folder.progress_file.exists() and lock.holder(folder.path):
        return None
    try:
        record = folder.record()
    except UnreadableRecord as error:
        return Run(*_parts(folder.name), "failed", note=str(worker.not_replaced(error)))
    if record is None:
        return None
    note = f"test error {record['test_error_percent']:.2f} %"
    steps, seconds = record["steps"], record["wall_seconds"]
    return Run(*_parts(folder.name), "done", steps, record["config"]["recipe"]["total_steps"], seconds, 0.0, note)


def _on_its_way(folder: RunFolder, of: Submission | None, job: str | None, queue: dict, lives) -> Run | None:
    there = queue.get(job)
    holder = lock.holder(folder.path)
    if holder or (there and there.runs):
        now = progress.read(folder) if holder else None
        if not holder or not now:
            return Run(*_parts(folder.name), "running", checkpoint.newest(folder.path, None), note=holder or "starts")
        step, total, left = now["step"], now["total_steps"], now["seconds_left"]
        whole = left * total / (total - step) if left and step < total else None
        return Run(*_parts(folder.name), "running", step, total, whole, left, holder)
    if there:
        return Run(
            *_parts(folder.name),
            "waiting",
            checkpoint.newest(folder.path, None),
            note=f"job {job}: {there.reason}",
        )
    if of and not job and lives(of.logs):
        return Run(*_parts(folder.name), "waiting", checkpoint.newest(folder.path, None), note=of.host)
    return None


def _stopped(folder: RunFolder, job: str | None, queue: dict | None, states: dict[str, str]) -> Run:
    kept = checkpoint.newest(folder.path, None)
    if folder.failure_file.exists() or (job and queue is not None):
        return Run(*_parts(folder.name), "failed", kept, note=commands.why(folder, states.get(job or "", "")))
    if job:
        return Run(
            *_parts(folder.name),
            "waiting",
            kept,
            note=f"job {job}, if it is queued still: squeue does not answer here",
        )
    return Run(*_parts(folder.name), "interrupted" if kept else "missing", kept)
