"""`ablations report`: make one HTML page of a folder of runs."""

import sys
from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.errors import UserError
from ablations.tables import found
from ablations.terminal.output import give_out

HELP = """\
ablations report [key=value ...]

Makes one HTML page of a folder of runs, which needs neither a network nor other
files.

    ablations report
    ablations report runs_dir=results/digits out=digits.html

    runs_dir=runs      where the runs are
    out=report.html    the file to write
    study=table1       only this study: a file of your own, or {studies}

Any other setting, such as data=digits, recipe=paper or recipe.total_steps=880,
selects the runs that have it.

For each study the page has the answer in words, a table that can be sorted, the
figures, what has not been run and how to run it, and each run's curve,
configuration and origin.
"""


def command(arguments: list[str]) -> int:
    """`ablations report`: write the page."""
    from ablations.reports.page import make_page

    settings = key_values(arguments, "report")
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), Path(settings.pop("out", "report.html"))
    only = settings.pop("study", None)
    if not runs_dir.is_dir():
        raise UserError(found.what_there_is(runs_dir, "report"))
    selection = [found.named(only, runs_dir, "report")] if only else found.studies_in(runs_dir)
    give_out(make_page(runs_dir, selection, settings), out)
    if not selection:
        print(f"ablations: {found.what_there_is(runs_dir, 'report')}", file=sys.stderr)
    return 0
