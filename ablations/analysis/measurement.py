"""What probes, lesions and landscapes measure, kept as JSON beside the run and not measured twice.

A measurement is one JSON file beside its run: probe.json, lesion.json or landscape.json. It names the weights that were
measured, and is made again when they, or what was asked for, have changed. Tables and figures are made from these files
alone and need no JAX.
"""

import json
from collections.abc import Callable
from pathlib import Path

from ablations.analysis.subject import Subject
from ablations.config.run import Config, from_resolved
from ablations.data import catalogue
from ablations.errors import UserError
from ablations.networks.registry import Unusable, made_by
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command as command_line
from ablations.runs.provenance import provenance
from ablations.runs.record import first_difference
from ablations.system.files import may_write, write_whole

SCHEMA_VERSION = 1

# The options of each command and their defaults; their help is in cli/. None: as many as the network allows, up to 20.
ASKED: dict[str, dict[str, int | None]] = {
    "probe": {"images": 64},
    "lesion": {"k": None, "draws": 20, "paths": 256},
    "landscape": {"images": 512, "directions": 5, "points": 21},
}


def stem(kind: str, subject: Subject) -> str:
    """The name of a measurement's file, without its suffix."""
    return kind if subject.folder else f"{kind}-start"


def check_one_kind(measurements: list[dict]) -> None:
    """Raise UserError if measurements differ in what was asked for, or in data, recipe or one of the precisions."""
    kinds = [
        {"asked": measurement["asked"]}
        | {part: measurement["config"][part] for part in ("data", "recipe", "precision", "matmul_precision")}
        for measurement in measurements
    ]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            key, first, second = first_difference(kinds[0], kind)
            setting = key.removesuffix(".name").removeprefix("asked.")
            raise UserError(
                f"the measurements differ in {setting} ({first} and {second}): a table never mixes those; choose some "
                "with key=value, or measure again with force=true"
            )


def measurements(records: list[dict]) -> tuple[dict[str, list[dict]], dict[str, str]]:
    """The measurements of a study by kind, from the lowest seed of each row.

    Kinds that were not measured alike are left out; a second dictionary says how their measurements differ.
    """
    alike, differing, lowest = {}, {}, {}
    for record in sorted(records, key=lambda record: record["seed"]):
        lowest.setdefault(record["row"], record["folder"])
    for kind in ASKED:
        read_files = [read(folder.path / f"{kind}.json") for folder in lowest.values()]
        of_kind = [measurement for measurement in read_files if measurement]
        try:
            check_one_kind(of_kind)
        except UserError as error:
            differing[kind] = str(error)
        else:
            alike |= {kind: of_kind} if of_kind else {}
    return alike, differing


# Kinds that make no sense for segmentation, and why.
NOT_OF_PIXELS = {
    "probe": "its long skips read two maps, so there is no x whose gradient passes through every unit",
    "lesion": "nearly all its units change the shape of x or read two maps, and without those nothing passes",
}


def check_kind(kind: str, config: Config) -> None:
    """Raise UserError if a network for segmentation cannot be measured so."""
    if config.data.task == "segmentation" and kind in NOT_OF_PIXELS:
        raise UserError(
            f"{kind} of model={config.model.name}: not possible: {NOT_OF_PIXELS[kind]}; ablations landscape and "
            "ablations figure run=... work"
        )


def measured(
    kind: str, subject: Subject, asked: dict, folder: Path | None, force: bool = False, say: Callable = print
) -> dict:
    """The measurement in a folder, made now if it is missing, or if the weights or what is asked for have changed.

    folder: None to keep nothing. force: measure in any case. say: is told what is written.
    Raises UserError if what is asked for is no number of at least 1, cannot be measured or cannot be written.
    """
    for key, value in asked.items():
        if not (isinstance(value, int) and value >= 1) and not (value is None and ASKED[kind][key] is None):
            raise UserError(f"{key}={value!r}: must be a number of at least 1")
    path = folder / f"{stem(kind, subject)}.json" if folder else None
    old = read(path) if path and not force else None
    is_fixed = subject.record or not subject.folder  # an unfinished run has moved on
    if (
        old
        and is_fixed
        and (old["weights"], old["asked"], old["config"]) == (subject.weights, asked, subject.config.resolved())
    ):
        return old
    if folder and not may_write(folder):  # before what may take minutes
        raise UserError(f"{folder} cannot be written to; choose another folder with out=FOLDER")
    record = subject.record or {"row": subject.row, "seed": subject.config.seed}
    results = _measure(kind, subject, asked)
    measurement = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "name": subject.name,
        **{key: record.get(key) for key in ("study", "row", "seed", "test_error_percent", "train_loss")},
        "weights": subject.weights,
        "asked": asked,
        **results,
        "config": subject.config.resolved(),
        **made_by(type(subject.config.shortcut), type(subject.config.model)),
        "command": command_line(),
        **provenance(),
    }
    if path:
        write(path, json.dumps(measurement) + "\n", say)
    return measurement


def _measure(kind: str, subject: Subject, asked: dict) -> dict:
    check_kind(kind, subject.config)
    data = subject.config.data
    images, _ = catalogue.sizes(data)
    for key in ("images", "paths"):
        if asked.get(key, 1) > images:
            raise UserError(f"{key}={asked[key]}: the training set of {data.name} has {images} images")
    steps, state, step = subject.load()
    if kind == "probe":
        from ablations.training.probe import Probe

        at = "start" if not step else "end" if subject.record else "on the way"
        return {"step": step, "at": at} | Probe(steps, asked["images"])(state) | {"along": _along(subject.folder)}
    from ablations.training.probe import plain

    if kind == "lesion":
        from ablations.analysis import lesion

        return plain(lesion.study(steps, state, subject.name, **asked))
    from ablations.analysis import landscape

    surfaces = plain(landscape.surfaces(steps, state, subject.name, **asked))
    return surfaces | {"metrics": subject.folder.metrics() if subject.folder else []}


def _along(folder: RunFolder | None) -> list[dict]:
    """The step, the gradient and the gates of each probe during training; empty if there was none."""
    path = folder.probes_file if folder else None
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path and path.is_file() else []
    kept = ("gradient", "kept")
    return [
        {"step": line["step"]} | {key: line["units"][key] for key in kept if key in line["units"]} for line in lines
    ]


def read(path: Path) -> dict | None:
    """The measurement in a file, None if it cannot be read. Raises UserError if a class of it is not defined or faulty."""
    try:
        measurement = json.loads(path.read_text())
        if measurement.get("schema_version") != SCHEMA_VERSION:
            return None
        # Settings that are newer than the file get their defaults.
        config = from_resolved(measurement["config"], measurement)
        return measurement | {"config": config.resolved()}
    except Unusable as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, content: str | bytes, say: Callable = print) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; choose another folder with out=FOLDER") from error
    say(f"wrote {path}")
