"""What a run leaves on disk: `record.json`, written whole or not at all, and `metrics.jsonl`.

These files are the source of truth of every table. Reading them needs the standard library only.
"""

import json
from pathlib import Path

from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.system.files import write_whole

SCHEMA_VERSION = 1
RECORD, METRICS = "record.json", "metrics.jsonl"
FAIL_PERCENT = 20.0  # a final test error above this is a "fail" in the paper's Table 1

# What every record has, and tables, figures and commands rely on.
FIELDS: dict[str, type] = {
    **{"row": str, "seed": int, "status": str, "test_error_percent": float, "steps": int, "train_images": int},
    **{"wall_seconds": float, "config": dict, "versions": dict, "device": str, "commit": str},
}
KINDS = {str: "text", int: "a whole number", float: "a number", dict: "a list of names and values"}


class UnreadableRecord(UserError):
    """A record exists, but this program cannot read it.

    path: the file. reason: one line, such as "unknown setting model.width".
    """

    def __init__(self, path: Path, reason: str):
        super().__init__(path, reason)  # pickling calls the class with these arguments again
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


def write_record(folder: Path, record: dict) -> None:
    write_whole(folder / RECORD, json.dumps({"schema_version": SCHEMA_VERSION} | record, indent=2) + "\n")


def read_record(folder: Path) -> dict | None:
    """The record of a finished run; None if there is none.

    Raises UnreadableRecord if there is one that this program cannot read.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreadableRecord(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise UnreadableRecord(path, f"it is not JSON, perhaps cut short ({error})") from error
    try:
        return _validated(content)
    except ValueError as error:
        raise UnreadableRecord(path, str(error)) from error


def _validated(content) -> dict:
    """The record; settings that were added after it was written get their defaults.

    Raises ValueError with the reason if it cannot be used.
    """
    if not isinstance(content, dict) or "schema_version" not in content:
        raise ValueError("it is not a record: schema_version is missing")
    if (version := content["schema_version"]) != SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version}, and this version of ablations reads {SCHEMA_VERSION}")
    if missing := [name for name in FIELDS if name not in content]:
        raise ValueError(f"it has no {missing[0]}")
    for name, kind in FIELDS.items():
        if not isinstance(content[name], (int, float) if kind is float else kind):
            raise ValueError(f"its {name} is not {KINDS[kind]}: {content[name]!r}")
    return content | {"config": from_resolved(content["config"], content).resolved()}


def read_metrics(folder: Path, name: str = METRICS) -> list[dict]:
    """The evaluations in this file of a run's folder; a last line that was cut short is left out."""
    try:
        lines = (folder / name).read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def first_difference(first, second, prefix: str = "") -> tuple:
    """The dotted key at which two nested configurations first differ, and the two values there."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return prefix, first, second
    key = next(key for key in first | second if first.get(key) != second.get(key))
    return first_difference(first.get(key), second.get(key), f"{prefix}.{key}" if prefix else key)


def setting_at(config: dict, key: str):
    """The setting with this dotted key in a record's configuration: a value, or all of a group; None if there is none."""
    value = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def short_commit(record: dict) -> str:
    """The first twelve digits of a record's commit, with its "+" if there were uncommitted changes."""
    return record["commit"][:12] + ("+" if record["commit"].endswith("+") else "")


def platform(record: dict) -> str:
    """What a run was computed on: "cpu", "gpu" or "tpu", as JAX calls it. It stands before the name of the device."""
    return record["device"].partition(":")[0]


def tested(record: dict) -> str:
    """The result of a record, or of a line of metrics.jsonl, in words: test error 6.61 %, of pixels with their IoU."""
    text = f"test error {record['test_error_percent']:.2f} %"
    iou = record.get("test_iou_percent")
    return text if iou is None else f"{text}, IoU {iou:.2f} %"


def failed(record: dict) -> bool:
    """Whether the paper's tables would print "fail": above 20 %, or diverged."""
    return record["status"] == "diverged" or record["test_error_percent"] > FAIL_PERCENT
