"""What a run leaves on disk: `record.json`, written whole or not at all, and `metrics.jsonl`.

These files are the source of truth of every table. Reading them needs the standard library only.
"""

import json
from pathlib import Path

from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.system.files import write_whole

SCHEMA_VERSION = 1

FAILURE = "failure.txt"  # why the last try of a run ended without a record; the last line says it

FAIL_PERCENT = 20.0  # a final test error above this is a "fail" in the paper's Table 1


def write_record(folder: Path, record: dict) -> None:
    write_whole(folder / "record.json", json.dumps({"schema_version": SCHEMA_VERSION} | record, indent=2) + "\n")


def read_record(folder: Path) -> dict | None:
    """The record of a finished run, None where there is none or none that can be read."""
    try:
        record = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        return None
    try:  # settings that are younger than the record have their defaults in it
        return record | {"config": from_resolved(record["config"]).resolved()}
    except (KeyError, TypeError, ValueError):
        return None


def read_records(runs_dir: Path, study: str) -> list[dict]:
    """All finished runs of a study, in the order of their folders, each with its `folder`."""
    folders = [path.parent for path in sorted((runs_dir / study).glob("*/seed=*/record.json"))]
    records = [(folder, read_record(folder)) for folder in folders]
    return [record | {"folder": folder} for folder, record in records if record]


def read_metrics(folder: Path) -> list[dict]:
    """The evaluations of a run so far; a last line that was cut short is left out."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def finished(folder: Path) -> tuple[dict, Path]:
    """The record and the weights file of a finished run; raises UserError where one of them is not there."""
    record, path = read_record(folder), folder / "weights.safetensors"
    if record is None:
        raise UserError(f"run={folder}: there is no finished run in this folder")
    if not path.is_file():
        raise UserError(f"run={folder}: its weights.safetensors is gone; ablations train ... force=true makes it anew")
    return record, path


def first_difference(one, other, at: str = "") -> tuple:
    """Where two nested configurations first differ, as a dotted key, and the two values there."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return at, one, other
    key = next(key for key in one | other if one.get(key) != other.get(key))
    return first_difference(one.get(key), other.get(key), f"{at}.{key}" if at else key)


def failed(record: dict) -> bool:
    """Whether the paper's tables would print "fail": above 20 %, or diverged."""
    return record["status"] == "diverged" or record["test_error_percent"] > FAIL_PERCENT
