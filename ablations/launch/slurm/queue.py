"""Runs in SLURM's queue: each submitted once, then waited for or left alone."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ablations.config.jobs import Job
from ablations.errors import UserError
from ablations.launch import packing
from ablations.launch.monitor import Monitor
from ablations.launch.slurm import commands
from ablations.runs import submitted
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command
from ablations.runs.submitted import Submission
from ablations.system import interrupt
from ablations.terminal.units import duration

LONGEST_BETWEEN_ASKS = 60.0  # seconds; squeue is everybody's

SECONDS_BETWEEN_LOOKS = 5.0  # at the runs' folders, which a file server holds

FILES_LATE_SECONDS = 15.0  # until a file from another host is seen here: submitit waits as long


def run(launcher_of: Callable, jobs: list[Job], places: list[Path], *, detach: bool) -> int:
    """Submit what is not queued yet, and wait for all of it unless `detach`. Returns the exit code.

    launcher_of: groups of jobs -> hydra-submitit-launcher's launcher. places: where the data are.
    Raises UserError where SLURM cannot be asked or refuses.
    """
    commands.check()
    of_study, since = RunFolder.of(jobs[0].config).study_folder, time.time()
    interrupt.listen()  # what has been submitted is noted before the command ends
    queued = _submit(launcher_of, jobs, of_study, places)
    see, cancel = submitted.see(of_study), "scancel " + " ".join(_to_cancel(queued, submitted.read(of_study)))
    print(f"  see how far they are: {see}; cancel them: {cancel}", flush=True)
    if detach:
        return 0
    how = "interrupting ends this display, the jobs go on"
    with Monitor(jobs, how=how, seconds_between_looks=SECONDS_BETWEEN_LOOKS):
        failed = _wait(jobs, queued, since)
    if code := interrupt.exit_code():
        print(f"ablations: the jobs go on; the same command waits for them again. {see}; {cancel}", file=sys.stderr)
        return code
    for job, reason in failed:
        print(f"ablations: {RunFolder.of(job.config)}: {reason}", file=sys.stderr)
    return 2 if failed else 0


def _submit(launcher_of: Callable, jobs: list[Job], of_study: Path, places: list[Path]) -> dict[str, str]:
    """The job of each run, those included that were queued before."""
    with submitted.alone(of_study):
        names = [RunFolder.of(job.config).name for job in jobs]
        latest = submitted.latest(of_study)
        known = {name: of.jobs[name] for name in names if (of := latest.get(name)) and of.launcher == "slurm"}
        there = commands.queue(known.values())
        if there is None:
            raise UserError("squeue does not answer, so what is queued already is not known; try again later")
        queued = {name: known[name] for name in names if known.get(name) in there}
        if queued:
            print(f"{_runs(len(queued))} queued already, as {', '.join(_arrays(queued))}")
        new = [job for name, job in zip(names, jobs, strict=True) if name not in queued]
        if not new:
            return queued
        groups = packing.groups(new)
        launcher = launcher_of(groups)
        for ids in commands.submit(launcher, [list(group[0].overrides) for group in groups]):
            made = {RunFolder.of(job.config).name: id for group, id in zip(groups, ids, strict=False) for job in group}
            groups = groups[len(ids) :]
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            logs = str(Path(launcher.params["submitit_folder"]).absolute())
            submitted.add(of_study, Submission("slurm", now, os.uname().nodename, command(), logs, made))
            queued |= made
            _say(launcher.params, made, of_study, places)
    return queued


def _say(asked: dict, made: dict[str, str], of_study: Path, places: list[Path]) -> None:
    (array,) = _arrays(made)
    each = [f"{asked['nodes']} node{'s' * (asked['nodes'] > 1)}"]
    each += [f"{asked[key]} {what}" for key, what in RESOURCES.items() if asked[key]]
    folders = [*places, of_study.absolute(), Path(sys.prefix)]
    logs = asked["submitit_folder"].replace("%j", array + "_*" * (len(made) > 1))
    print(
        f"{_runs(len(made))} submitted as {array}\n"
        f"  each on {', '.join(each)}; for {duration(60 * asked['timeout_min'])} at a time, then queued again\n"
        f"  the nodes must see, under these names: {', '.join(map(str, folders))}\n"
        f"  environment: that of this shell; logs: {logs}"
    )


RESOURCES = {"gpus_per_node": "GPU(s) a node", "cpus_per_task": "CPUs", "mem_gb": "GB"}


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


def _arrays(queued: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(job.partition("_")[0] for job in queued.values()))


def _to_cancel(queued: dict[str, str], submissions: list[Submission]) -> list[str]:
    """What scancel is told: an array as a whole where all its jobs are this command's, else its jobs one by one."""
    mine = dict.fromkeys(queued.values())
    others = {job for of in submissions if of.launcher == "slurm" for job in of.jobs.values() if job not in mine}
    shared = {job.partition("_")[0] for job in others}
    arrays = {job: job.partition("_")[0] for job in mine}
    return list(dict.fromkeys(job if array in shared else array for job, array in arrays.items()))


def _wait(jobs: list[Job], queued: dict[str, str], since: float) -> list[tuple[Job, str]]:
    """Wait until all have ended, or this command is interrupted. Returns those without a record, with the reason."""
    left = {RunFolder.of(job.config).name: job for job in jobs}
    gone, failed, asked, there = {}, [], time.time(), {}
    while left and interrupt.exit_code() is None:
        time.sleep(1)
        left = {name: job for name, job in left.items() if not _has_record(job, since)}
        if left and time.time() - asked > min(max(2.0, (asked - since) / 10), LONGEST_BETWEEN_ASKS):
            asked, there = time.time(), commands.queue(queued[name] for name in left)
            for name in [name for name in left if there is not None and queued[name] not in there]:
                late = time.time() - gone.setdefault(name, time.time()) > FILES_LATE_SECONDS
                if late or RunFolder.of(left[name].config).failure_file.exists():
                    failed.append((left[name], queued[name]))
                    del left[name]
    states = commands.ended([job for _, job in failed]) if failed else {}
    return [(job, commands.why(RunFolder.of(job.config), states.get(id, ""))) for job, id in failed]


def _has_record(job: Job, since: float) -> bool:
    """A record that is not an earlier run's, which force=true replaces."""
    folder = RunFolder.of(job.config)
    if job.config.force:
        path = folder.record_file
        if not path.exists() or path.stat().st_mtime < since:
            return False
    return folder.has_record()
