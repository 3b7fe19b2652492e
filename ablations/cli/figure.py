"""`ablations figure`: a study's figures from the runs on disk."""

from pathlib import Path

from ablations.cli.arguments import check_choice, key_values
from ablations.config import study as studies
from ablations.errors import UserError
from ablations.reports.formats import PICTURES
from ablations.runs.folder import RunFolder, read_records
from ablations.system.files import write_whole
from ablations.tables import found, table

HELP = """\
ablations figure study=NAME [key=value ...]

Draws the figures of a study from the runs on disk, in the paper's style.

    ablations figure study=table1 data=digits
    ablations figure study=table1 figure=figure3 out=figure3.pdf
    ablations figure run=runs/unet/identity/seed=0 out=masks.png

    study=table1     single: the curves of runs of no study; a file of your own,
                     or {studies}
    run=FOLDER       in place of study=...: test images of a run of
                     segmentation, their masks, and what it predicts
    figure=figure3   only this figure: {figures}
    runs_dir=runs    where the runs are
    format=svg       svg, pdf or png
    out=FOLDER       write STUDY-FIGURE.svg to this folder; or a file, such as
                     out=figure3.pdf

Any other setting, such as data=digits, recipe=paper or recipe.total_steps=880,
selects the runs that have it.

A dashed line is the training loss on a log axis, a solid line the test error,
and a band the range of the seeds. Rows without runs are named.
"""


def command(arguments: list[str]) -> int:
    """`ablations figure`: draw a study's figures and write them to files."""
    from ablations.reports.figure import NONE_RUN, curves, draw, runs_of

    settings = key_values(arguments, "figure")
    name, only, form = settings.pop("study", None), settings.pop("figure", None), settings.pop("format", None)
    runs_dir, out = Path(settings.pop("runs_dir", "runs")), Path(settings.pop("out", "."))
    if run := settings.pop("run", None):
        if only or name or settings:
            raise UserError("figure run=... takes format=... and out=... only; see ablations figure --help")
        return _of_run(RunFolder(Path(run)), out, form)
    if name is None:
        raise UserError(f"study=... is missing; legal are {', '.join(studies.names())}")
    study = found.named(name, runs_dir, "figure")
    every_record, unreadable = read_records(runs_dir, study.name)
    figures, records = study.figures, table.select(every_record, settings)
    if found.is_without_file(study):
        if every_record and not records:
            raise UserError(f"study={name}: all runs have other settings; leave some out")
        figure, records = curves(study, records)
        figures = (figure,)
    chosen = [figure for figure in figures if only in (None, figure.name)]
    if not chosen:
        legal = ", ".join(figure.name for figure in figures)
        if not legal:
            raise UserError(f"study={name}: its file lists no figures")
        raise UserError(f"figure={only}: study {study.name} has no such figure; legal are {legal}")
    form, suffix = _form(form, out)
    if suffix == form and len(chosen) > 1:
        names = ", ".join(figure.name for figure in chosen)
        raise UserError(f"out={out} is one file, but study {study.name} has several figures ({names}): add figure=...")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={name} makes runs")
    for error in unreadable:
        print(f"left out: {error}")
    drawable = [figure for figure in chosen if any(runs_of(figure, records).values())]
    for figure in drawable or chosen:
        path = out if suffix == form else out / f"{study.name}-{figure.name}.{form}"
        _write(path, draw(figure, study, records, form, unreadable=unreadable), out)
    for figure in chosen:
        if figure not in drawable:
            print(f"figure {figure.name}: {NONE_RUN}")
    return 0


def _of_run(folder: RunFolder, out: Path, form: str | None) -> int:
    """Draw what a run of segmentation predicts."""
    from ablations.reports import masks

    record, _ = folder.finished()
    form, suffix = _form(form, out)
    path = out if suffix else out / f"{folder.study}-masks.{form}"
    _write(path, masks.of_run(record | {"folder": folder}, form), out)
    return 0


def _form(form: str | None, out: Path) -> tuple[str, str]:
    """The format to write, and the suffix of `out`; "" if that is a folder. Raises UserError if the two are not the same."""
    suffix = out.suffix.removeprefix(".") if not out.is_dir() else ""
    form = form or suffix or "svg"
    check_choice("format", form, PICTURES)
    if suffix not in ("", form):
        raise UserError(f"out={out} is not a file of format={form}; leave out one of the two")
    return form, suffix


def _write(path: Path, content: bytes, out: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"out={out}: {path} cannot be written: {error.strerror}") from error
    print(f"wrote {path}")
