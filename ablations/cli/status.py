"""`ablations status`: how far runs are, in their folders and in a cluster's queue."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.cli.arguments import check_choice, key_values, split
from ablations.errors import UserError
from ablations.terminal import grid
from ablations.terminal.output import give_out

if TYPE_CHECKING:
    from ablations.launch.status import Status

OWN = {"format": "terminal", "out": ""}

HELP = """\
ablations status [study=NAME] [key=value ...]

Says how far runs are, including those in a cluster's queue. It reads the runs'
folders and asks squeue; it changes nothing.

    ablations status                     all runs in runs/
    ablations status study=table1        all runs of a study, begun or submitted
    ablations status study=table1 seeds=5
                                         those of `ablations train` with this

    study=table1       a file of your own, or {studies}
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown, or json (every run, in plain numbers)
    out=FILE           write to this file instead of the screen

It counts the runs of each row in each state, and estimates the time left:

    done          finished, with a record
    running       a process on any host works on it, or SLURM has started its
                  job
    waiting       submitted, but not started; with SLURM's reason
    failed        the last try ended with an error, or the job left the queue
                  without a record
    interrupted   stopped, with its step kept
    missing       neither begun nor submitted

The exit code is 0 if all runs are done, 3 if some are not done yet, 1 if some
have failed, and 2 for a mistake in the command.
"""


def command(arguments: list[str]) -> int:
    """`ablations status`: print or write it. Exit code 0: all done; 3: some not done yet; 1: some failed."""
    from ablations.launch.status_table import FAILED, FORMATS, UNFINISHED, as_json, cells, notes, title

    settings, overrides = split(arguments, OWN, "status")
    if wrong := [a for a in overrides if a.startswith("-") or "=" not in a]:
        raise UserError(f"{wrong[0]}: settings are key=value; see ablations status --help")
    check_choice("format", settings["format"], FORMATS)
    studies = [status for status in look(overrides) if status.runs]
    if settings["format"] == "json":
        give_out(json.dumps([as_json(status) for status in studies], indent=2) + "\n", settings["out"])
    elif settings["format"] == "markdown" or settings["out"]:
        texts = [grid.markdown(title(status), cells(status), notes(status)) for status in studies]
        give_out("\n".join(texts), settings["out"])
    else:
        for status in studies:
            grid.show(title(status), cells(status), tuple(cells(status)[0])[1:-1], notes(status))
            print()
    states = {run.state for status in studies for run in status.runs}
    return FAILED if "failed" in states else UNFINISHED if states - {"done"} else 0


def look(overrides: list[str]) -> "list[Status]":
    """The status of all studies in a folder of runs, of one study, or of the runs that `ablations train` would make.

    Raises UserError if there are no runs.
    """
    from ablations.config import searchpath
    from ablations.launch import status
    from ablations.runs.folder import study_folders

    settings = key_values(overrides, "status")
    runs_dir = Path(settings.pop("runs_dir", "runs"))
    if set(settings) - {"study"} or searchpath.chosen:
        from ablations.config import compose
        from ablations.launch import choice

        with compose.hydra() as context:
            return [status.of_jobs(choice.plan(context, overrides))]
    name = settings.get("study")
    name = Path(name).stem if name and name.endswith(".yaml") else name
    folders = study_folders(runs_dir, name) or [
        folder for folder in study_folders(runs_dir) if folder.match(name or "*")
    ]
    studies = [status.of_folder(folder) for folder in folders]
    if not any(study.runs for study in studies):
        raise UserError(f"{runs_dir / (name or '')}: there are no runs; ablations plan lists the runs of a study")
    return studies
