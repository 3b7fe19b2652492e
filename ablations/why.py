"""`ablations probe`, `lesion` and `landscape`: why a row of a table fails, from runs to measurements.

A measurement is one JSON file beside its run: probe.json, lesion.json, landscape.json. It names the weights
that it was made of and is made again when they, or what was asked, have changed. Tables and figures are made
from these files alone and need no JAX.
"""

import contextlib
import json
from pathlib import Path

from ablations import grid, table, why_tables
from ablations import study as studies
from ablations.config import from_resolved
from ablations.errors import UserError
from ablations.records import command as command_line
from ablations.records import first_difference, provenance, read_metrics, read_records, write_whole
from ablations.render import key_values
from ablations.subject import Subject, before_training, of_run

SCHEMA_VERSION = 1
FORMATS = ("svg", "pdf", "png")

# What each command can be asked, with its default; help in cli.py. None: as much as the network allows, up to 20.
ASKED = {
    "probe": {"images": 64},
    "lesion": {"k": None, "draws": 20, "paths": 256},
    "landscape": {"images": 512, "directions": 5, "points": 21},
}


def command(kind: str, arguments: list[str]) -> int:
    """Measure what is not measured yet; print a table; with format=... draw a figure."""
    settings = key_values(arguments, kind)
    force = settings.pop("force", "false").lower() == "true"
    form, out = settings.pop("format", None), settings.pop("out", None)
    if form not in (None, *FORMATS):
        raise UserError(f"format={form}: legal are {', '.join(FORMATS)}")
    at = settings.pop("at", "end") if kind == "probe" else "end"
    if at not in ("start", "end"):
        raise UserError(f"at={at}: legal are start, end")
    asked = {key: _number(key, settings.pop(key, default)) for key, default in ASKED[kind].items()}
    out = Path(out) if out else None
    if "study" in settings:
        return _of_study(kind, settings, asked, at, out, form, force)
    units = settings.pop("unit", None) if kind == "lesion" else None
    if "run" in settings:
        folder = Path(settings.pop("run"))
        if settings:
            raise UserError(f"{next(iter(settings))}: no setting of {kind} run=...; see ablations {kind} --help")
        subject, place = of_run(folder, trained=kind != "probe"), out or folder
        if units:
            return _without(subject, units)
        if at == "start":
            subject = Subject(subject.name, subject.config)
    elif kind == "probe":
        subject = before_training([f"{key}={value}" for key, value in settings.items()])
        place = out or (Path(".") if form else None)
    else:
        raise UserError(f"{kind} needs run=RUNS_DIR/STUDY/ROW/seed=K, or study=NAME; see ablations {kind} --help")
    measurement = measured(kind, subject, asked, place, force)
    grid.show(why_tables.of_run(kind, measurement))
    if form:
        from ablations import why_figures

        _write(place / f"{stem(kind, subject)}.{form}", why_figures.of_run(kind, measurement, form))
    return 0


def stem(kind: str, subject: Subject) -> str:
    """What the file of a measurement is called."""
    return kind if subject.folder else f"{kind}-start"


def _of_study(kind: str, settings: dict, asked: dict, at: str, out: Path | None, form: str | None, force: bool) -> int:
    study = studies.load(settings.pop("study"))
    runs_dir, seed = Path(settings.pop("runs_dir", "runs")), settings.pop("seed", "0")
    if not runs_dir.is_dir():
        raise UserError(f"runs_dir={runs_dir}: there is no such folder; ablations train study={study.name} makes runs")
    place = (out or runs_dir) / study.name
    records = [record for record in read_records(runs_dir, study.name) if str(record["seed"]) == seed]
    for record in table.select(records, settings):
        of_row = place / record["row"] / f"seed={seed}"
        if at == "start":
            subject = Subject(str(record["folder"]), from_resolved(record["config"]), row=record["row"])
            measured(kind, subject, asked, of_row, force)
        elif (record["folder"] / "weights.safetensors").is_file():
            measured(kind, of_run(record["folder"]), asked, of_row, force)
    name = kind if at == "end" else f"{kind}-start"
    found = [_read(path) for path in sorted(place.glob(f"*/seed={seed}/{name}.json"))]
    found = table.select([measurement for measurement in found if measurement], settings)
    if not found:
        raise UserError(
            f"study={study.name}: no run in {runs_dir} has weights, and nothing was measured before; "
            f"ablations train study={study.name} makes runs"
        )
    _check_one_kind(found)
    order = [row.name for row in study.rows]
    found.sort(key=lambda one: order.index(one["row"]) if one["row"] in order else len(order))
    made = why_tables.of_study(kind, study, found)
    grid.show(made)
    folder = out or place
    if out:
        _write(folder / f"{name}-{study.name}.md", grid.markdown(made))
    if form:
        from ablations import why_figures

        _write(folder / f"{name}-{study.name}.{form}", why_figures.of_study(kind, study, found, form))
    return 0


def _check_one_kind(found: list[dict]) -> None:
    kinds = [
        {"asked": one["asked"]} | {part: one["config"][part] for part in ("data", "recipe", "precision")}
        for one in found
    ]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            key, one, other = first_difference(kinds[0], kind)
            raise UserError(
                f"the measurements differ in {key.removesuffix('.name').removeprefix('asked.')} ({one} and {other}): a table never "
                "mixes those; choose with key=value, or force=true measures again"
            )


def measurements(records: list[dict]) -> dict[str, list[dict]]:
    """What lies beside runs of a study, by its kind: of the lowest seed of each row, where all was measured alike."""
    found, lowest = {}, {}
    for record in sorted(records, key=lambda record: record["seed"]):
        lowest.setdefault(record["row"], record["folder"])
    for kind in ASKED:
        of_rows = [one for folder in lowest.values() if (one := _read(folder / f"{kind}.json"))]
        with contextlib.suppress(UserError):
            _check_one_kind(of_rows)
            found |= {kind: of_rows} if of_rows else {}
    return found


def measured(kind: str, subject: Subject, asked: dict, place: Path | None, force: bool = False) -> dict:
    """The measurement in a folder, made where it is missing, of other weights, or asked otherwise."""
    path = place / f"{stem(kind, subject)}.json" if place else None
    old = _read(path) if path and not force else None
    is_still = subject.record or not subject.folder  # a run on its way has moved on
    if (
        old
        and is_still
        and (old["weights"], old["asked"], old["config"]) == (subject.weights, asked, subject.config.resolved())
    ):
        return old
    record = subject.record or {"row": subject.row, "seed": subject.config.seed}
    found = _measure(kind, subject, asked)
    measurement = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "name": subject.name,
        **{key: record.get(key) for key in ("study", "row", "seed", "test_error_percent", "train_loss")},
        "weights": subject.weights,
        "asked": asked,
        **found,
        "config": subject.config.resolved(),
        "command": command_line(),
        **provenance(),
    }
    if path:
        _write(path, json.dumps(measurement) + "\n")
    return measurement


def _measure(kind: str, subject: Subject, asked: dict) -> dict:
    steps, state, step = subject.load()
    images = len(steps.dataset.train_images)
    for key in ("images", "paths"):
        if asked.get(key, 1) > images:
            raise UserError(f"{key}={asked[key]}: the training set of {steps.dataset.name} has {images} images")
    if kind == "probe":
        from ablations.probe import Probe

        at = "start" if not step else "end" if subject.record else "on the way"
        return {"step": step, "at": at} | Probe(steps, asked["images"])(state) | {"along": _along(subject.folder)}
    from ablations.probe import plain

    if kind == "lesion":
        from ablations import lesion

        return plain(lesion.study(steps, state, subject.name, **asked))
    from ablations import landscape

    found = plain(landscape.surfaces(steps, state, subject.name, **asked))
    return found | {"metrics": read_metrics(subject.folder)}


def _along(folder: Path | None) -> list[dict]:
    """Of the probes along training, if there were any: the step, the gradient and the gates."""
    path = folder / "probes.jsonl" if folder else None
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path and path.is_file() else []
    kept = ("gradient", "kept")
    return [
        {"step": line["step"]} | {key: line["units"][key] for key in kept if key in line["units"]} for line in lines
    ]


def _without(subject: Subject, units: str) -> int:
    """`ablations lesion run=... unit=3,4`: the error without exactly these units."""
    from ablations.lesion import HOW, Lesions

    steps, state, _ = subject.load()
    lesions, units = Lesions(steps, state), [_number("unit", unit) for unit in units.split(",")]
    lesions.check(units)
    print(f"{subject.name}: test error {lesions.error_percent():.2f} %")
    for name, how in HOW.items():
        error = lesions.error_percent([unit - 1 for unit in units], how)
        print(f"without {name} {', '.join(map(str, units))}: {error:.2f} %")
    return 0


def _number(key: str, value) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"{key}={value}: must be a number of at least 1")
    return int(value)


def _read(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_text())
        if found.get("schema_version") != SCHEMA_VERSION:
            return None
        # Settings that are younger than the file have their defaults in it.
        return found | {"config": from_resolved(found["config"]).resolved()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; choose another place with out=FOLDER") from error
    print(f"wrote {path}")
