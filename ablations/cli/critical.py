"""`ablations critical`: the depth at which each shortcut or activation order begins to fail."""

import sys
from pathlib import Path

from ablations.cli.arguments import check_choice, key_values
from ablations.config import study as studies
from ablations.errors import UserError
from ablations.runs.folder import read_records
from ablations.tables import table
from ablations.terminal.output import give_out

HELP = """\
ablations critical study=NAME [key=value ...]

Says at which depth each shortcut or activation order begins to fail, from the
runs on disk.

    ablations critical study=depth data=digits
    ablations critical study=depth_orders format=markdown out=orders.md

    study=depth       a study whose grid has two axes, a choice and a depth:
                      depth, depth_orders, degradation, or a file of your own
    runs_dir=runs     where the runs are
    probes=runs       where the measurements of `ablations probe` are; the runs'
                      folder by default
    format=terminal   terminal, markdown, or csv (plain numbers)
    out=FILE          write to this file instead of the screen

Any other setting, such as data=digits, recipe=paper or recipe.total_steps=880,
selects the runs that have it.

Each choice has a line: how many of its runs fail at each depth; the depth at
which half of them do, with a 95 % interval; the paper's result; the factor on
its shortcut, and the product of all of them at that depth by Eqn. 8. With
measurements of `ablations probe study=depth at=start`, or without at=start, it
has the measured product, too. The notes below the table name the methods.
"""


def command(arguments: list[str]) -> int:
    """`ablations critical`: print or write the table of critical depths."""
    from ablations.tables import critical, critical_table

    settings = key_values(arguments, "critical")
    name, form, out = settings.pop("study", None), settings.pop("format", "terminal"), settings.pop("out", None)
    runs_dir = Path(settings.pop("runs_dir", "runs"))
    probes = Path(settings.pop("probes", runs_dir))
    if name is None:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    check_choice("format", form, critical_table.FORMATS)
    study = studies.load(name)
    critical.depths(study)  # before anything is read
    for key, folder in (("runs_dir", runs_dir), ("probes", probes)):
        if not folder.is_dir():
            raise UserError(f"{key}={folder}: there is no such folder")
    records, unreadable = read_records(runs_dir, study.name)
    records = table.select(records, settings)
    if not records:
        without = "".join(f"; left out: {error}" for error in unreadable)
        raise UserError(f"study={name}: {runs_dir} has no such runs; ablations train study={name} makes them{without}")
    made = critical.make(study, records, table.having(_measurements(probes / study.name), settings), unreadable)
    if form == "terminal" and not out:
        critical_table.show(made)
    else:
        give_out(critical_table.as_csv(made) if form == "csv" else critical_table.markdown(made), out)
    for error in unreadable if form == "csv" else ():  # csv has no place for notes
        print(f"ablations: left out: {error}", file=sys.stderr)
    return 0


def _measurements(folder: Path) -> list[dict]:
    """Those of `ablations probe`, of all rows and seeds."""
    from ablations.analysis.measurement import read

    found = [read(path) for name in ("probe-start", "probe") for path in sorted(folder.glob(f"*/seed=*/{name}.json"))]
    return [measurement for measurement in found if measurement]
