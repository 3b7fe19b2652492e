"""`ablations table`: a study's table from the runs on disk, the paper's figures beside ours."""

import sys
from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.config import logger
from ablations.config import study as studies
from ablations.errors import UserError
from ablations.runs.folder import read_records
from ablations.tables import markup
from ablations.tables.screen import show
from ablations.tables.table import Table, make, select
from ablations.terminal.output import give_out

HELP = """\
ablations table study=NAME [key=value ...]

Prints the table of a study from the runs on disk, the paper's figures beside ours.

    ablations table study=table1 data=digits
    ablations table study=table1 format=markdown out=table1.md

    study=table1       a file of your own, or {studies}
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown, csv, latex or html
    out=FILE           write to this file instead of the screen
    logger=wandb       send the table to Weights & Biases, too; logger.mode, logger.project and
                       logger.entity as for ablations train

Any other setting, such as data=digits, recipe=paper or recipe.total_steps=880, selects the runs
that have it.

Each row has the paper's figure; our median, mean ± std, a 95 % interval and the number n of seeds;
and the difference from the baseline row over equal seeds. The notes below the table name the
methods, and say what n seeds can resolve.
"""


FORMATS = {"markdown": markup.markdown, "csv": markup.as_csv, "latex": markup.latex, "html": markup.html}


def command(arguments: list[str]) -> int:
    """`ablations table`: print or write a table."""
    settings = key_values(arguments, "table")
    name, form = settings.pop("study", None), settings.pop("format", None)
    destination = logger.take(settings)
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), settings.pop("out", None)
    if name is None:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    if form not in (None, "terminal", *FORMATS):
        raise UserError(f"format={form}: legal are terminal, {', '.join(FORMATS)}")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={name} makes runs")
    study = studies.load(name)
    records, unreadable = read_records(runs_dir, study.name)
    records = select(records, settings)
    table = make(study, records, unreadable)
    _print(table, form, out)
    for error in unreadable if form == "csv" else ():  # csv has no place for notes
        print(f"ablations: left out: {error}", file=sys.stderr)
    if logger.is_on(destination):
        from ablations.reports.wandb_table import publish

        print(f"{destination.name}: {publish(destination, table, records, runs_dir, settings)}", file=sys.stderr)
    return 0


def _print(table: Table, form: str | None, out: str | None) -> None:
    if form in (None, "terminal") and not out:
        show(table)
        return
    give_out(FORMATS["markdown" if form in (None, "terminal") else form](table), out)
