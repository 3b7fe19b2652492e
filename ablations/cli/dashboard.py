"""`ablations dashboard`: a study's workspace at Weights & Biases."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.config import study as studies
from ablations.config.logger import Wandb, make
from ablations.errors import UserError
from ablations.reports.workspace import LOGGER, save, specification, workspace
from ablations.terminal.output import give_out

HELP = """\
ablations dashboard study=NAME [key=value ...]

Saves a workspace for a study at Weights & Biases, with the runs that
logger=wandb sent there: test error and losses over the steps, with one line for
each row, the mean of its seeds in a band of their spread. Without a login it
writes the workspace's specification, as JSON.

    ablations dashboard study=table1
    ablations dashboard study=table1 logger.mode=offline out=workspace.json

    study=table1                a file of your own, or {studies}
    logger.project=ablations    as for ablations train
    logger.entity=NAME          the user or team; by default the login's
    logger.mode=offline         write the specification even if there is a login
    out=dashboard-table1.json   the file for the specification

It needs wandb-workspaces: pip install 'ablations[dashboard]'.
"""


def command(arguments: list[str]) -> None:
    """`ablations dashboard`: save the workspace if there is a login, else write its specification."""
    if wrong := [a for a in arguments if "=" not in a or a.partition("=")[0] not in ("study", "out", *LOGGER)]:
        raise UserError(
            f"{wrong[0]}: settings are study=..., out=..., {', '.join(LOGGER)}; see ablations dashboard --help"
        )
    settings = key_values(arguments, "dashboard")
    if "study" not in settings:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    study = studies.load(settings["study"])
    logger = make(Wandb, {key: value for key, value in settings.items() if key in LOGGER})
    if find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed: pip install 'ablations[dashboard]'")
    os.environ["WANDB_SILENT"] = "true"  # this command reports by itself
    url, reason = save(study, logger)
    if url:
        print(f"saved {url}")
    if url and "out" not in settings:
        return
    text = json.dumps(specification(workspace(study, logger)), indent=2) + "\n"
    note = "" if url else f"; not saved at Weights & Biases: {reason}"
    give_out(text, Path(settings.get("out", f"dashboard-{study.name}.json")), note)
