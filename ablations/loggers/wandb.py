"""Runs of Weights & Biases: one for each run (group = study/row), one for a finished table and its figures."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wandb

INIT_SECONDS = 10.0
FINISH_SECONDS = 15.0
ROOM_BYTES = 1 << 20
KEPT = "kept in the run's folder, for `wandb sync`"

# From the record; settings are in the run's configuration, errors in its history.
SUMMARY = ("status", "parameters", "macs", "train_images", "compile_seconds", "wall_seconds")

SUMMARY += ("train_images_per_second", "versions", "device", "commit", "command")


class WandbRun:
    """A run of Weights & Biases that stays one run when training goes on after a stop.

    All evaluations are read again at each start. Online, steps that the server has are not sent again. Offline, a new
    folder holds them all and earlier folders are removed.
    """

    def __init__(self, run: dict, tell: Callable[[str, str], None]):
        import wandb

        config = run["config"]
        chosen = {name: config[name]["name"] for name in ("shortcut", "activation", "model", "data", "recipe")}
        options = {
            "id": run_id(run["study"], run["row"], config),
            "name": f"{run['row'][:100]} seed={run['seed']}",
            "group": f"{run['study']}/{run['row']}"[:128],
            "job_type": "train",
            "tags": sorted({run["study"][:64], *chosen.values()}),
            "config": config | {"study": run["study"], "row": run["row"]},
        }
        try:
            # force=true replaces the run.
            self.run = start(run["logger"], run["folder"], resume=not run["force"], **options)
        except wandb.Error as error:
            if run["logger"]["mode"] == "offline":
                raise
            tell("failed", f"{str(error).rstrip('.')}; {KEPT}")
            wandb.teardown()  # else it keeps the id
            self.run = start(run["logger"] | {"mode": "offline"}, run["folder"], **options)
        tell("where", place_of(self.run))
        self.run.define_metric("*", step_metric="step")
        self.next = self.run.step

    def log(self, metrics: dict) -> None:
        check_room(self.run.dir)
        if metrics["step"] >= self.next:
            self.run.log(metrics, step=metrics["step"])

    def finish(self, record: dict | None) -> None:
        if record:
            self.run.summary.update({name: record[name] for name in SUMMARY})
        try:
            finish(self.run, exit_code=0 if record else 255)  # 255: stopped, may go on
        except TimeoutError as error:
            raise TimeoutError(f"not all of it arrived within {FINISH_SECONDS:g} seconds; {KEPT}") from error


def start(logger: dict, folder: str | Path, *, resume: bool = False, **options):
    """Start a run of Weights & Biases that prints nothing and gives up after a while."""
    import wandb

    settings = {"silent": True, "console": "off", "save_code": False, "disable_git": True}
    settings |= {"init_timeout": INIT_SECONDS, "finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
    # They describe this process; our records describe training.
    settings |= {"x_disable_stats": True, "x_disable_meta": True, "x_save_requirements": False}
    options["resume"] = "allow" if resume and logger["mode"] == "online" else None
    target = {name: logger[name] for name in ("mode", "project", "entity")}
    return wandb.init(dir=str(folder), settings=wandb.Settings(**settings), **target, **options)


def finish(run, exit_code: int) -> None:
    """End a run; an offline run replaces earlier ones with its id, since it holds all that they hold."""
    check_room(run.dir)
    run.finish(exit_code=exit_code)
    own = Path(run.dir).parent
    for earlier in own.parent.glob(f"offline-run-*-{run.id}") if run.offline else ():
        if earlier != own:
            shutil.rmtree(earlier, ignore_errors=True)


def check_room(folder: str) -> None:
    """Raise OSError if the disk is full: wandb would silently lose data."""
    if shutil.disk_usage(folder).free < ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)


def place_of(run: "wandb.Run") -> str:
    """The address of a run, or its folder where it has none."""
    return (not run.offline and run.url) or str(Path(run.dir).parent)


def run_id(*what) -> str:
    """An id that is the same for the same run, so that it stays one run when it goes on."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
