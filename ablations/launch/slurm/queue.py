"""Runs in SLURM's queue: each is submitted once, and the command waits for it unless told not to."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ablations.config.jobs import Job
from ablations.errors import UserError
from ablations.launch import done, packing
from ablations.launch.monitor import Monitor
from ablations.launch.slurm import commands
from ablations.runs import submitted
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command
from ablations.runs.submitted import Submission
from ablations.system import interrupt
from ablations.terminal.output import tell
from ablations.terminal.units import duration

LONGEST_BETWEEN_ASKS = 60.0  # seconds; other users need squeue too
SECONDS_BETWEEN_LOOKS = 5.0  # at the runs' folders, which are on a file server
FILES_LATE_SECONDS = 15.0  # a file from another host may appear this late; submitit waits as long
RESOURCES = {"gpus_per_node": "GPU(s) a node", "cpus_per_task": "CPUs", "mem_gb": "GB"}


def run(launcher_of: Callable, jobs: list[Job], data_folders: list[Path], *, detach: bool) -> int:
    """Submit the jobs that are not queued yet, and wait for all of them unless `detach`. Returns the exit code.

    launcher_of: groups of jobs -> hydra-submitit-launcher's launcher. data_folders: where the data sets are.
    Raises UserError if SLURM does not answer or refuses.
    """
    commands.check()
    study_folder = RunFolder.of(jobs[0].config).study_folder
    before = {RunFolder.of(job.config).name: done.version(job.config) for job in jobs}
    interrupt.listen()  # so that the command notes what it has submitted before it ends
    queued = _submit(launcher_of, jobs, study_folder, data_folders)
    status = submitted.status_command(study_folder)
    cancel = "scancel " + " ".join(_to_cancel(queued, submitted.read(study_folder)))
    print(f"  see how far they are: {status}; cancel them: {cancel}", flush=True)
    if detach:
        return 0
    hint = "interrupting ends only this display; the jobs go on"
    with Monitor(jobs, hint=hint, seconds_between_looks=SECONDS_BETWEEN_LOOKS):
        failed = _wait(jobs, queued, before)
    if code := interrupt.exit_code():
        tell(f"ablations: the jobs go on; the same command waits for them again. {status}; {cancel}")
        return code
    for job, reason in failed:
        tell(f"ablations: {RunFolder.of(job.config)}: {reason}")
    return 2 if failed else 0


def _submit(launcher_of: Callable, jobs: list[Job], study_folder: Path, data_folders: list[Path]) -> dict[str, str]:
    """Submit the runs that are not queued. Returns the job of every run, including those queued before."""
    with submitted.locked(study_folder):
        names = [RunFolder.of(job.config).name for job in jobs]
        latest = submitted.latest(study_folder)
        submissions = {name: latest[name] for name in names if name in latest}
        previous = {name: last.jobs[name] for name, last in submissions.items() if last.launcher == "slurm"}
        in_queue = commands.queue(previous.values())
        if in_queue is None:
            raise UserError("squeue does not answer, so what is queued already is not known; try again later")
        queued = {name: previous[name] for name in names if previous.get(name) in in_queue}
        if queued:
            print(f"{_runs(len(queued))} queued already, as {', '.join(_arrays(queued))}")
        new = [job for name, job in zip(names, jobs, strict=True) if name not in queued]
        if not new:
            return queued
        groups = packing.groups(new)
        launcher = launcher_of(groups)
        for ids in commands.submit(launcher, [list(group[0].overrides) for group in groups]):
            group_ids = zip(groups, ids, strict=False)
            submitted_jobs = {RunFolder.of(job.config).name: id for group, id in group_ids for job in group}
            groups = groups[len(ids) :]
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            logs = str(Path(launcher.params["submitit_folder"]).absolute())
            submitted.add(study_folder, Submission("slurm", now, os.uname().nodename, command(), logs, submitted_jobs))
            queued |= submitted_jobs
            _report(launcher.params, submitted_jobs, study_folder, data_folders)
    return queued


def _report(parameters: dict, jobs: dict[str, str], study_folder: Path, data_folders: list[Path]) -> None:
    (array,) = _arrays(jobs)
    resources = [f"{parameters['nodes']} node{'s' * (parameters['nodes'] > 1)}"]
    resources += [f"{parameters[key]} {unit}" for key, unit in RESOURCES.items() if parameters[key]]
    folders = [*data_folders, study_folder.absolute(), Path(sys.prefix)]
    time_limit = duration(60 * parameters["timeout_min"])
    logs = parameters["submitit_folder"].replace("%j", array + "_*" * (len(jobs) > 1))
    print(
        f"{_runs(len(jobs))} submitted as {array}\n"
        f"  each on {', '.join(resources)}; for {time_limit} at a time, then queued again\n"
        f"  the nodes must see these folders under the same names: {', '.join(map(str, folders))}\n"
        f"  environment: the same as in this shell; logs: {logs}"
    )


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


def _arrays(queued: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(job.partition("_")[0] for job in queued.values()))


def _to_cancel(queued: dict[str, str], submissions: list[Submission]) -> list[str]:
    """The arguments of scancel: an array as a whole if all its jobs belong to this command, else job by job."""
    own_jobs = dict.fromkeys(queued.values())
    slurm_jobs = {job for each in submissions if each.launcher == "slurm" for job in each.jobs.values()}
    shared = {job.partition("_")[0] for job in slurm_jobs - own_jobs.keys()}
    arrays = {job: job.partition("_")[0] for job in own_jobs}
    return list(dict.fromkeys(job if array in shared else array for job, array in arrays.items()))


def _wait(jobs: list[Job], queued: dict[str, str], before: dict[str, done.Version]) -> list[tuple[Job, str]]:
    """Wait until all have ended, or this command is interrupted. Returns the jobs without a record, with the reason.

    before: the version of each run's record when the command began.
    """
    since = time.time()
    left = {RunFolder.of(job.config).name: job for job in jobs}
    missing_since, failed, asked_at, in_queue = {}, [], time.time(), {}
    while left and interrupt.exit_code() is None:
        time.sleep(1)
        left = {name: job for name, job in left.items() if not done.is_done(job.config, before[name])}
        if left and time.time() - asked_at > min(max(2.0, (asked_at - since) / 10), LONGEST_BETWEEN_ASKS):
            asked_at, in_queue = time.time(), commands.queue(queued[name] for name in left)
            for name in [name for name in left if in_queue is not None and queued[name] not in in_queue]:
                late = time.time() - missing_since.setdefault(name, time.time()) > FILES_LATE_SECONDS
                if late or RunFolder.of(left[name].config).failure_file.exists():
                    failed.append((left[name], queued[name]))
                    del left[name]
    states = commands.ended([job for _, job in failed]) if failed else {}
    return [(job, commands.why(RunFolder.of(job.config), states.get(id, ""))) for job, id in failed]
