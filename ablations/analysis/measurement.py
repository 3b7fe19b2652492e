"""What probes, lesions and landscapes measure, kept as JSON beside the run and not measured twice.

A measurement is one JSON file beside its run: probe.json, lesion.json, landscape.json. It names the weights
that it was made of and is made again when they, or what was asked, have changed. Tables and figures are made
from these files alone and need no JAX.
"""

import json
from collections.abc import Callable
from pathlib import Path

from ablations.analysis.subject import Subject
from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.networks.registry import Undefined, made_by
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import command as command_line
from ablations.runs.provenance import provenance
from ablations.runs.record import first_difference
from ablations.system.files import write_whole

SCHEMA_VERSION = 1

# What each command can be asked, with its default; help in cli.py. None: as much as the network allows, up to 20.
ASKED: dict[str, dict[str, int | None]] = {
    "probe": {"images": 64},
    "lesion": {"k": None, "draws": 20, "paths": 256},
    "landscape": {"images": 512, "directions": 5, "points": 21},
}


def stem(kind: str, subject: Subject) -> str:
    """What the file of a measurement is called."""
    return kind if subject.folder else f"{kind}-start"


def check_one_kind(found: list[dict]) -> None:
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


def measurements(records: list[dict]) -> tuple[dict[str, list[dict]], dict[str, str]]:
    """What lies beside runs of a study, by its kind: of the lowest seed of each row, where all was measured alike.

    Also, of each kind that was not, in what its measurements differ.
    """
    found, differing, lowest = {}, {}, {}
    for record in sorted(records, key=lambda record: record["seed"]):
        lowest.setdefault(record["row"], record["folder"])
    for kind in ASKED:
        of_rows = [one for folder in lowest.values() if (one := read(folder.path / f"{kind}.json"))]
        try:
            check_one_kind(of_rows)
        except UserError as error:
            differing[kind] = str(error)
        else:
            found |= {kind: of_rows} if of_rows else {}
    return found, differing


def measured(
    kind: str, subject: Subject, asked: dict, place: Path | None, force: bool = False, say: Callable = print
) -> dict:
    """The measurement in a folder, made where it is missing, of other weights, or asked otherwise; say: what is written."""
    path = place / f"{stem(kind, subject)}.json" if place else None
    old = read(path) if path and not force else None
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
        **made_by(type(subject.config.shortcut)),
        "command": command_line(),
        **provenance(),
    }
    if path:
        write(path, json.dumps(measurement) + "\n", say)
    return measurement


def _measure(kind: str, subject: Subject, asked: dict) -> dict:
    steps, state, step = subject.load()
    images = len(steps.dataset.train_images)
    for key in ("images", "paths"):
        if asked.get(key, 1) > images:
            raise UserError(f"{key}={asked[key]}: the training set of {steps.dataset.name} has {images} images")
    if kind == "probe":
        from ablations.training.probe import Probe

        at = "start" if not step else "end" if subject.record else "on the way"
        return {"step": step, "at": at} | Probe(steps, asked["images"])(state) | {"along": _along(subject.folder)}
    from ablations.training.probe import plain

    if kind == "lesion":
        from ablations.analysis import lesion

        return plain(lesion.study(steps, state, subject.name, **asked))
    from ablations.analysis import landscape

    found = plain(landscape.surfaces(steps, state, subject.name, **asked))
    return found | {"metrics": subject.folder.metrics() if subject.folder else []}


def _along(folder: RunFolder | None) -> list[dict]:
    """Of the probes along training, if there were any: the step, the gradient and the gates."""
    path = folder.probes_file if folder else None
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path and path.is_file() else []
    kept = ("gradient", "kept")
    return [
        {"step": line["step"]} | {key: line["units"][key] for key in kept if key in line["units"]} for line in lines
    ]


def read(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_text())
        if found.get("schema_version") != SCHEMA_VERSION:
            return None
        # Settings that are younger than the file have their defaults in it.
        config = from_resolved(found["config"], found.get("shortcut_class"))
        return found | {"config": config.resolved()}
    except Undefined as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, content: str | bytes, say: Callable = print) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; choose another place with out=FOLDER") from error
    say(f"wrote {path}")
