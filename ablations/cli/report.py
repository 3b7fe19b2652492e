"""`ablations report`: a folder of runs as one HTML page."""

from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.config import study as studies
from ablations.errors import UserError
from ablations.terminal.output import give_out

HELP = """\
ablations report [key=value ...]

Makes one HTML page of a folder of runs, that needs no network and no other file: of each study the answer in words, the
table, which can be sorted, the figures, what was not run and how to run it, and each run's curve, configuration and
origin.

    ablations report
    ablations report runs_dir=results/digits out=digits.html

    runs_dir=runs      where the runs are
    out=report.html    write there
    study=table1       only this one:
                       {studies};
                       or a file of yours

Any other setting, as data=digits, recipe=paper or recipe.total_steps=880, selects the runs that have it.
"""


def command(arguments: list[str]) -> int:
    """`ablations report`: write the page."""
    from ablations.reports.page import found, make_page

    settings = key_values(arguments, "report")
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), Path(settings.pop("out", "report.html"))
    only = settings.pop("study", None)
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train makes runs")
    give_out(make_page(runs_dir, [studies.load(only)] if only else found(runs_dir), settings), out)
    return 0
