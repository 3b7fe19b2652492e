"""What `ablations probe`, `lesion` and `landscape` share: which networks they measure, and where results go."""

from pathlib import Path

from ablations.analysis.measurement import ASKED, check_one_kind, measured, read, stem, write
from ablations.analysis.subject import Subject, before_training, of_run
from ablations.cli.arguments import check_choice, key_values, yes_or_no
from ablations.config import study as studies
from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.reports import analysis_tables
from ablations.reports.formats import PICTURES
from ablations.runs.folder import RunFolder, read_records
from ablations.tables import table
from ablations.terminal import grid


def command(kind: str, arguments: list[str]) -> int:
    """Measure what is not measured yet, print a table, and draw a figure if format=... asks for one."""
    settings = key_values(arguments, kind)
    options_typed = [key for key in (*ASKED[kind], "format", "out", "force") if key in settings]
    force = yes_or_no("force", settings.pop("force", "false"))
    form, out = settings.pop("format", None), settings.pop("out", None)
    if form is not None:
        check_choice("format", form, PICTURES)
    at = settings.pop("at", "end") if kind == "probe" else "end"
    check_choice("at", at, ("start", "end"))
    options = ASKED[kind] | {key: _number(key, settings.pop(key)) for key in ASKED[kind] if key in settings}
    out = Path(out) if out else None
    if "study" in settings:
        return _of_study(kind, settings, options, at, out, form, force)
    units = settings.pop("unit", None) if kind == "lesion" else None
    if "run" in settings:
        folder = RunFolder(Path(settings.pop("run")))
        if settings:
            raise UserError(f"{next(iter(settings))}: not a setting of {kind} run=...; see ablations {kind} --help")
        subject, target = of_run(folder, trained=kind != "probe"), out or folder.path
        if units:
            if options_typed:
                raise UserError(
                    f"{options_typed[0]}: not a setting of lesion run=... unit=..., which prints two errors and writes nothing"
                )
            return _without(subject, units)
        if at == "start":
            subject = Subject(subject.name, subject.config)
    elif kind == "probe":
        subject = before_training([word for word in arguments if word.partition("=")[0] in settings])
        target = out or (Path(".") if form else None)
    else:
        raise UserError(f"{kind} needs run=RUNS_DIR/STUDY/ROW/seed=K, or study=NAME; see ablations {kind} --help")
    measurement = measured(kind, subject, options, target, force)
    _show(analysis_tables.of_run(kind, measurement))
    if form and target:
        from ablations.reports import analysis_figures

        write(target / f"{stem(kind, subject)}.{form}", analysis_figures.of_run(kind, measurement, form))
    return 0


def _show(table: analysis_tables.Grid) -> None:
    grid.show(table.title, table.cells, table.header[1:], table.notes)


def _of_study(
    kind: str, settings: dict, options: dict, at: str, out: Path | None, form: str | None, force: bool
) -> int:
    study = studies.load(settings.pop("study"))
    runs_dir, seed = Path(settings.pop("runs_dir", "runs")), settings.pop("seed", "0")
    if not seed.isdecimal():
        raise UserError(f"seed={seed}: must be one seed, such as seed=0")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={study.name} makes runs")
    folder = (out or runs_dir) / study.name
    records, unreadable = read_records(runs_dir, study.name)
    for record in table.select([record for record in records if str(record["seed"]) == seed], settings):
        row_folder = folder / record["row"] / f"seed={seed}"
        if at == "start":
            subject = Subject(str(record["folder"]), from_resolved(record["config"]), row=record["row"])
            measured(kind, subject, options, row_folder, force)
        elif record["folder"].weights_file.is_file():
            measured(kind, of_run(record["folder"]), options, row_folder, force)
    name = kind if at == "end" else f"{kind}-start"
    measurements = [read(path) for path in sorted(folder.glob(f"*/seed={seed}/{name}.json"))]
    measurements = table.having([measurement for measurement in measurements if measurement], settings)
    if not measurements:
        raise UserError(
            f"study={study.name}: no run in {runs_dir} has weights, and nothing was measured before; "
            f"ablations train study={study.name} makes runs" + "".join(f"; left out: {error}" for error in unreadable)
        )
    check_one_kind(measurements)
    order = [row.name for row in study.rows]
    measurements.sort(key=lambda each: order.index(each["row"]) if each["row"] in order else len(order))
    summary = analysis_tables.of_study(kind, study, measurements)
    summary.notes.extend(f"Left out: {error}." for error in unreadable)
    _show(summary)
    folder = out or folder
    if out:
        write(folder / f"{name}-{study.name}.md", grid.markdown(summary.title, summary.cells, summary.notes))
    if form:
        from ablations.reports import analysis_figures

        drawn, _ = analysis_figures.of_study(kind, study, measurements, form)
        write(folder / f"{name}-{study.name}.{form}", drawn)
    return 0


def _without(subject: Subject, units: str) -> int:
    """`ablations lesion run=... unit=3,4`: print the error without exactly these units."""
    from ablations.analysis.lesion import HOW, Lesions

    steps, state, _ = subject.load()
    lesions, numbers = Lesions(steps, state), [_number("unit", unit) for unit in units.split(",")]
    lesions.check(numbers)
    print(f"{subject.name}: test error {lesions.error_percent():.2f} %")
    for name, how in HOW.items():
        error = lesions.error_percent([number - 1 for number in numbers], how)
        print(f"without {name} {', '.join(map(str, numbers))}: {error:.2f} %")
    return 0


def _number(key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"{key}={value}: must be a number of at least 1")
    return int(value)
