"""The rows of a study that have no runs, and the commands that run them."""

import contextlib
import json
import shlex
from pathlib import Path

from ablations.config.run import from_resolved
from ablations.config.study import Study
from ablations.errors import UserError
from ablations.tables.comparable import NUMBERS
from ablations.tables.table import Table

OWN_FILES = ("--import", "--config-dir", "-cd")  # the options with which a command finds a user's own files
CALL = "ablations.train("  # how a record's command begins if the run was started from Python


def of(table: Table, records: list[dict], runs_dir: Path) -> dict | None:
    """The rows that were not run, and the commands that run them with the same settings as the others."""
    rows = [
        line.row.name for line in table.lines if line.row.overrides is not None and not line.n and not line.unreadable
    ]
    if not rows:
        return None
    start = ["ablations", "train", f"study={table.study.name}"]
    if not records:
        return {"rows": rows, "commands": [shlex.join([*start, f"runs_dir={runs_dir}"])]}
    words = _settings_typed(records[0].get("command", ""), table.study)
    replaced = ("study=", "row=", "seed=", "seeds=", "runs_dir=", "force=", "-")
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before in OWN_FILES or word.startswith(OWN_FILES) or not word.startswith(replaced)
    ]
    data = next((word.partition("=")[2] for word in kept if word.startswith("data=")), None)
    same_data = [row.name for row in table.study.rows_for(data) if row.name in rows]
    others = [row for row in rows if row not in same_data]  # rows of another data set
    end = [f"seeds={max(record['seed'] for record in records) + 1}", f"runs_dir={runs_dir}"]
    then = _as_then(records[0], table.study, kept, same_data[0]) if same_data else []
    commands = [[*start, *kept, *then, f"row={','.join(same_data)}", *end]] if same_data else []
    commands += [[*start, f"row={','.join(others)}", *end]] if others else []
    return {"rows": rows, "commands": [shlex.join(command) for command in commands]}


def _settings_typed(command: str, study: Study) -> list[str]:
    """The settings of a command. A call from Python names all settings; those that define a row are left out."""
    if not command.startswith(CALL):
        return shlex.split(command)[2:]
    rows = tuple(f"{key}{end}" for row in study.rows for key in row.settings for end in "=.")
    return [word for word in shlex.split(command.removeprefix(CALL).removesuffix(")")) if not word.startswith(rows)]


def _as_then(record: dict, study: Study, words: list[str], row: str) -> list[str]:
    """The settings that make a recipe of today what it was when this record was made, such as recipe.total_steps=440."""
    from ablations.config import compose, jobs

    words = [word for before, word in zip(["", *words], words, strict=False) if "-" not in (before[:1], word[:1])]
    with contextlib.suppress(UserError, ValueError), compose.hydra() as context:
        today = jobs.plan(context, [f"study={study.name}", *words, f"row={row}", "seed=0"])[0].config.resolved()
        then = from_resolved(record["config"], record).resolved()
        defining = {key for each in study.rows for key in each.settings}
        changed = [
            (f"{group}.{key}" if key else group, value)
            for group in NUMBERS
            for key, value, now in _settings(then[group], today[group])
            if value != now
        ]
        return [f"{key}={_typed(value)}" for key, value in changed if key not in defining]
    return []


def _typed(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _settings(then, today) -> list[tuple]:
    """The settings of a group, or the one setting that it is, each with its value then and today."""
    return [(key, then[key], today.get(key)) for key in then] if isinstance(then, dict) else [("", then, today)]
