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
    """The rows that were not run, and the commands that run them with the same settings as the others.

    Where another data set stands in for the study's, rows of a further one are no part of the table, and are left out.
    """
    missing = [
        line.row for line in table.lines if line.row.overrides is not None and not line.n and not line.unreadable
    ]
    start = ["ablations", "train", f"study={table.study.name}"]
    if missing and not records:
        return {"rows": [row.name for row in missing], "commands": [shlex.join([*start, f"runs_dir={runs_dir}"])]}
    kept = _kept(records[0], table.study) if records else []
    data = next((word.partition("=")[2] for word in kept if word.startswith("data=")), None)
    possible = [row.name for row in table.study.rows_for(data)]
    if data not in {row.data for row in table.study.rows}:
        missing = [row for row in missing if row.name in possible or row.best_of]
    if not missing:
        return None
    here = [row.name for row in missing if row.name in possible]
    then = _as_then(records[0], table.study, kept, here[0]) if here else []
    chosen = [
        (here, [*kept, *then]),
        ([row.name for row in missing if row.best_of], [*kept, *then]),  # once those are run of which it is the best
        ([row.name for row in missing if row.name not in possible and not row.best_of], _without_data(kept)),
    ]
    end = [f"seeds={max(record['seed'] for record in records) + 1}", f"runs_dir={runs_dir}"]
    commands = [shlex.join([*start, *words, f"row={','.join(rows)}", *end]) for rows, words in chosen if rows]
    return {"rows": [row.name for row in missing], "commands": commands}


def _kept(record: dict, study: Study) -> list[str]:
    """The settings of a record's command that other rows should have, too."""
    words = _settings_typed(record.get("command", ""), study)
    replaced = ("study=", "row=", "seed=", "seeds=", "runs_dir=", "force=", "-")
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before in OWN_FILES or word.startswith(OWN_FILES) or not word.startswith(replaced)
    ]


def _without_data(words: list[str]) -> list[str]:
    """The settings for rows that name a data set of their own."""
    return [word for word in words if not word.startswith("data=")]


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
