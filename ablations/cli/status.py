"""`ablations status`: how far runs are, in their folders and in a cluster's queue."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.cli.arguments import split
from ablations.errors import UserError
from ablations.terminal import grid
from ablations.terminal.output import give_out

if TYPE_CHECKING:
    from ablations.launch.status import Status

HELP = """\
ablations status [study=NAME] [key=value ...]

Says how far runs are, those in a cluster's queue too: of each row how many are done, running, waiting, failed,
interrupted or missing, and the time left. Reads the runs' folders and asks squeue; changes nothing.

    ablations status                                              all that is in runs/
    ablations status study=table1                                 all of a study that was begun or submitted
    ablations status study=table1 data=cifar10 seeds=5            exactly what `ablations train` of these settings has

    study=table1       {studies};
                       or a file of yours
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown or json (each run, in plain numbers)
    out=FILE           write there, not to the screen

Running: a process holds the run, on whichever host, or SLURM has started its job. Waiting: submitted; with SLURM's
reason. Failed: the last try ended with an error, or the job left the queue without a record. Interrupted: stopped, and
a step is kept. Missing: not begun, and not submitted. The exit code is 0 where all is done, 3 where something is still
to come, 1 where something has failed, 2 on a mistake in the command.
"""


def command(arguments: list[str]) -> int:
    """`ablations status`: print or write it. Exit code 0: all done; 3: some are not yet; 1: some have failed."""
    from ablations.launch.status_table import FAILED, FORMATS, UNFINISHED, as_json, cells, notes, title

    settings, overrides = split(arguments, {"format": "terminal", "out": ""})
    if wrong := [a for a in overrides if a.startswith("-") or "=" not in a]:
        raise UserError(f"{wrong[0]}: settings are key=value; see ablations status --help")
    if settings["format"] not in FORMATS:
        raise UserError(f"format={settings['format']}: legal are {', '.join(FORMATS)}")
    found = [one for one in look(overrides) if one.runs]
    if settings["format"] == "json":
        give_out(json.dumps([as_json(one) for one in found], indent=2) + "\n", settings["out"])
    elif settings["format"] == "markdown" or settings["out"]:
        give_out("\n".join(grid.markdown(title(one), cells(one), notes(one)) for one in found), settings["out"])
    else:
        for one in found:
            grid.show(title(one), cells(one), tuple(cells(one)[0])[1:-1], notes(one))
            print()
    states = {run.state for one in found for run in one.runs}
    return FAILED if "failed" in states else UNFINISHED if states - {"done"} else 0


def look(overrides: list[str]) -> "list[Status]":
    """Of a folder of runs, of one study in it, or of the runs that a command of `ablations train` has.

    Raises UserError where there is nothing.
    """
    from ablations.launch import status

    given = dict(o.split("=", 1) for o in overrides)
    runs_dir = Path(given.pop("runs_dir", "runs"))
    if set(given) - {"study"}:
        from ablations.config import compose, jobs

        with compose.hydra() as context:
            return [status.of_jobs(jobs.plan(context, overrides))]
    name = given.get("study", "*")
    name = Path(name).stem if name.endswith(".yaml") else name
    found = [status.of_folder(folder) for folder in sorted(runs_dir.glob(name)) if folder.is_dir()]
    if not any(one.runs for one in found):
        raise UserError(f"{runs_dir / name.strip('*')}: there are no runs; ablations plan says what a study would have")
    return found
