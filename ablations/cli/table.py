"""`ablations table`: a study's table from the runs on disk, the paper's figures beside ours."""

import sys
from pathlib import Path

from ablations.cli.arguments import check_choice, key_values
from ablations.config import logger
from ablations.errors import UserError
from ablations.runs.folder import read_records
from ablations.tables import comparable, found, markup
from ablations.tables.screen import show
from ablations.tables.table import Table, make, select
from ablations.terminal.output import give_out

HELP = """\
ablations table study=NAME [key=value ...]

Prints the table of a study from the runs on disk, the paper's figures beside
ours.

    ablations table study=table1 data=digits
    ablations table study=table1 format=markdown out=table1.md

    study=table1      a file of your own, or {studies}
    runs_dir=runs     where the runs are
    format=terminal   terminal, markdown, csv, latex or html
    out=FILE          write to this file instead of the screen
    logger=wandb      send the table to Weights & Biases, too; logger.mode,
                      logger.project and logger.entity as for ablations train

Any other setting, such as data=digits, recipe=paper or recipe.total_steps=880,
selects the runs that have it.

Each row has the paper's figure; our median, mean ± std, a 95 % interval and the
number n of seeds; and the difference from the baseline row over equal seeds.
A verdict says whether the row lies where the paper's does, beside its baseline:
"agrees", "differs", "not resolved" by the seeds; "baseline fails" or "baseline
not run" where the row fails and nothing near it is known to learn.

The notes below the table name the methods. They say which difference n seeds
resolve four times in five, by the paired t-test with its correction for the
number of comparisons; and where data, networks and recipe are not the paper's.
"""


FORMATS = ("terminal", *markup.WRITERS)


def command(arguments: list[str]) -> int:
    """`ablations table`: print or write a table."""
    settings = key_values(arguments, "table")
    name, form = settings.pop("study", None), settings.pop("format", "terminal")
    destination = logger.take(settings)
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), settings.pop("out", None)
    if name is None:
        raise UserError(f"study=... is missing; {found.what_there_is(runs_dir, 'table')}")
    check_choice("format", form, FORMATS)
    study = found.named(name, runs_dir, "table")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={name} makes runs")
    every_record, unreadable = read_records(runs_dir, study.name)
    records = select(every_record, settings)
    tables = comparable.tables(study, records, unreadable) if found.is_without_file(study) else []
    tables = [table for table, _ in tables] or [make(study, records, unreadable)]
    _print(tables, form, out)
    for error in unreadable if form == "csv" else ():  # csv has no place for notes
        print(f"ablations: left out: {error}", file=sys.stderr)
    if not records and not unreadable:
        what = "all runs have other settings" if every_record else f"nothing is run yet in {runs_dir}"
        instead = "leave some out" if found.is_without_file(study) else f"ablations train study={name} trains its rows"
        print(f"ablations: {study.name}: {what}; {instead}", file=sys.stderr)
    if logger.is_on(destination):
        from ablations.reports.wandb_table import publish

        print(f"{destination.name}: {publish(destination, tables[0], records, runs_dir, settings)}", file=sys.stderr)
    return 0


def _print(tables: list[Table], form: str, out: str | None) -> None:
    if form == "terminal" and not out:
        for table in tables[:-1]:
            show(table)
            print()
        show(tables[-1])
        return
    give_out("\n".join(map(markup.WRITERS["markdown" if form == "terminal" else form], tables)), out)
