"""How far runs are, from their folders, from the list of submitted runs, and from SLURM's queue.

Imports no JAX, and Hydra only if it is asked about the runs of a command.
"""

import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ablations.config import study as studies
from ablations.costs import cost
from ablations.launch import done
from ablations.launch.slurm import commands
from ablations.runs import progress, submitted
from ablations.runs.folder import RunFolder, run_folders
from ablations.runs.record import UnreadableRecord, tested
from ablations.runs.submitted import Submission
from ablations.system import lock
from ablations.training import checkpoint

# waiting: submitted, but not started, or about to be started again. missing: not submitted.
STATES = ("done", "running", "waiting", "failed", "interrupted", "missing")


@dataclass(frozen=True)
class Run:
    """One run.

    step: how far it is. total_steps: None if that is not known yet.
    whole_seconds: what the whole run took, or will take if it is running. seconds_left: None if that is not known.
    note: where it runs, or why it waits or failed.
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
    """The runs of one study."""

    study: str
    folder: Path
    runs: tuple[Run, ...]

    def count(self, state: str) -> int:
        return sum(run.state == state for run in self.runs)

    @property
    def at_a_time(self) -> int:
        return max(1, self.count("running"))

    def seconds_left(self, runs: list[Run] | tuple[Run, ...]) -> float | None:
        """The time until these runs are done, if as many train at a time as now; None if no run's duration is known."""
        remaining = [self._left(run) for run in runs if run.state != "done"]
        known = [seconds for seconds in remaining if seconds is not None]
        return cost.elapsed(known, self.at_a_time) if len(known) == len(remaining) else None

    def _left(self, run: Run) -> float | None:
        """The time that a run still needs: as it says itself, or else as runs of its row or of the study took."""
        if run.seconds_left is not None:
            return run.seconds_left
        known = [(other.row, other.whole_seconds) for other in self.runs if other.whole_seconds is not None]
        durations = [seconds for row, seconds in known if row == run.row]
        durations = durations or [seconds for _, seconds in known]
        if not durations:
            return None
        return statistics.median(durations) * (1 - run.step / run.total_steps if run.total_steps else 1)


def of_folder(study_folder: Path) -> Status:
    """All runs of a study: those that have a folder, and those that were submitted."""
    latest = submitted.latest(study_folder)
    names = {folder.name for folder in run_folders(study_folder.parent, study_folder.name)} | set(latest)
    rows = [row.name for row in studies.load(study_folder.name).rows] if study_folder.name in studies.names() else []

    def order(name: str) -> tuple:
        row, seed = _parts(name)
        base = row.partition(",")[0]
        return rows.index(base) if base in rows else len(rows), row, seed

    return Status(study_folder.name, study_folder, _look(study_folder, sorted(names, key=order), latest))


def of_jobs(jobs: list) -> Status:
    """The runs of a command."""
    folders = [RunFolder.of(job.config) for job in jobs]
    study_folder, names = folders[0].study_folder, [folder.name for folder in folders]
    return Status(study_folder.name, study_folder, _look(study_folder, names, submitted.latest(study_folder)))


def _parts(name: str) -> tuple[str, int]:
    row, _, seed = name.rpartition("/seed=")
    return row, int(seed) if seed.isdigit() else 0


def _look(study_folder: Path, names: list[str], latest: dict[str, Submission]) -> tuple[Run, ...]:
    is_alive = cache(lambda logs: lock.is_held(Path(logs)))
    folders = {name: RunFolder(study_folder / name) for name in names}
    runs = {name: _done(folder) for name, folder in folders.items()}
    open_runs = {name: latest.get(name) for name, run in runs.items() if run is None}
    jobs = {name: last.jobs[name] for name, last in open_runs.items() if last and last.launcher == "slurm"}
    queue = commands.queue(jobs.values())
    for name, last in open_runs.items():
        runs[name] = _on_its_way(folders[name], last, jobs.get(name), queue or {}, is_alive)
    stopped = [name for name in open_runs if runs[name] is None]
    ended = [jobs[name] for name in stopped if name in jobs]
    states = commands.ended(ended) if ended and queue is not None else {}
    stopped_runs = {name: _stopped(folders[name], jobs.get(name), queue, states) for name in stopped}
    return tuple(runs[name] or stopped_runs[name] for name in names)


def _done(folder: RunFolder) -> Run | None:
    """The run in this folder if it has a record; None if it has none, or is being replaced."""
    # With force=true the run is trained again; a run that was killed has left its progress.json behind, but no lock.
    if lock.holder(folder.path) and folder.progress_file.exists():
        return None
    try:
        record = folder.record()
    except UnreadableRecord as error:
        return Run(*_parts(folder.name), "failed", note=str(done.not_replaced(error)))
    if record is None:
        return None
    note = tested(record)
    steps, seconds = record["steps"], record["wall_seconds"]
    return Run(*_parts(folder.name), "done", steps, record["config"]["recipe"]["total_steps"], seconds, 0.0, note)


def _on_its_way(folder: RunFolder, last: Submission | None, job: str | None, queue: dict, is_alive) -> Run | None:
    """The run in this folder if it is running or waiting. last: its last submission, and job: its job there."""
    queued = queue.get(job)
    holder = lock.holder(folder.path)
    if holder or (queued and queued.runs):
        now = progress.read(folder) if holder else None
        if not holder or not now:
            return Run(*_parts(folder.name), "running", checkpoint.newest(folder.path, None), note=holder or "starting")
        step, total, left = now["step"], now["total_steps"], now["seconds_left"]
        whole = left * total / (total - step) if left and step < total else None
        return Run(*_parts(folder.name), "running", step, total, whole, left, holder)
    if queued:
        return Run(
            *_parts(folder.name),
            "waiting",
            checkpoint.newest(folder.path, None),
            note=f"job {job}: {queued.reason}",
        )
    if last and not job and is_alive(last.logs):
        return Run(*_parts(folder.name), "waiting", checkpoint.newest(folder.path, None), note=last.host)
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
            note=f"job {job}, if it is still queued: squeue does not answer here",
        )
    return Run(*_parts(folder.name), "interrupted" if kept else "missing", kept)
