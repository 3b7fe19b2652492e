"""`ablations report`: one page about a folder of runs, which needs no network, no server and no other file.

report.html is its Jinja template, report.css its style; report.js is what its buttons do.
"""

import base64
import contextlib
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from ablations import __version__
from ablations.analysis.measurement import measurements
from ablations.config import study as studies
from ablations.config.study import Figure, Study
from ablations.errors import UserError
from ablations.reports import sketch
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations.runs.record import UnreadableRecord
from ablations.tables import columns
from ablations.tables.answer import answer
from ablations.tables.cells import HEADER, NUMERIC, cells, notes, title, used
from ablations.tables.table import Table, by_row, make, select, unreadable_rows

OWN_FILES = ("--import", "--config-dir", "-cd")  # the options with which a command finds a user's own files
CALL = "ablations.train("  # how a record's command begins if the run was started from Python
SORTED_BY_NUMBER = (*NUMERIC, "against its baseline")


def studies_in(runs_dir: Path) -> list[Study]:
    """The studies with runs in this folder, the project's first; one without a file has the rows that were run."""
    names = sorted({folder.study for folder in run_folders(runs_dir) if folder.is_begun})
    known = [studies.load(name) for name in studies.names() if name in names]
    others = [name for name in names if name not in studies.names()]
    return known + [Study(name, "Runs that belong to no study", "", "", 1, (), ()) for name in others]


def make_page(runs_dir: Path, selection: list[Study], settings: dict[str, str]) -> str:
    """The page about these studies. It lists the runs that cannot be read."""
    from jinja2 import Environment, StrictUndefined

    sections, unread, count = [], [], 0
    for study in selection:
        records, unreadable = read_records(runs_dir, study.name)
        unread += _unread(runs_dir, study, records, unreadable)
        records = select(records, settings) if records else []
        count += len(records)
        for table, own_records in groups(study, records, unreadable):
            sections.append(section(f"{study.name}-{len(sections)}", table, own_records, runs_dir))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script = _asset("report.js")
    return environment.from_string(_asset("report.html")).render(
        sections=sections,
        unread=unread,
        count=count,
        runs_dir=runs_dir,
        style=_asset("report.css"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
    )


def _asset(name: str) -> Markup:
    return Markup((resources.files("ablations.reports") / name).read_text())


def _unread(
    runs_dir: Path, study: Study, records: list[dict], unreadable: list[UnreadableRecord]
) -> list[tuple[str, str]]:
    """The folders of runs that were begun but are in no table, each with the reason."""
    reasons = {
        RunFolder(error.path.parent): f"{error.path.name} cannot be read: {error.reason}" for error in unreadable
    }
    readable = {record["folder"] for record in records}
    begun = [folder for folder in run_folders(runs_dir, study.name) if folder.is_begun and folder not in readable]
    return [(str(folder.path.relative_to(runs_dir)), reasons.get(folder, "not finished")) for folder in begun]


NUMBERS = ("data", "recipe", "precision", "matmul_precision")  # runs that differ in these are never compared


def groups(study: Study, records: list[dict], unreadable: list[UnreadableRecord]) -> list[tuple[Table, list[dict]]]:
    """As few tables as possible, each of runs that may be compared, and its runs."""
    keys = (
        lambda record: None,
        lambda record: _parts(record, NUMBERS),
        lambda record: (_parts(record, NUMBERS), record["row"].partition(",")[2]),
        lambda record: _parts(record, sorted(record["config"].keys() - {"seed", "threads"})),
    )
    *coarser, finest = keys
    for key in coarser:
        with contextlib.suppress(UserError):
            return _grouped(study, records, unreadable, key)
    return _grouped(study, records, unreadable, finest)


def _grouped(
    study: Study, records: list[dict], unreadable: list[UnreadableRecord], key: Callable
) -> list[tuple[Table, list[dict]]]:
    """One table for each group of runs with the same `key`."""
    parts = {}
    for record in records:
        parts.setdefault(key(record), []).append(record)
    return [(make(study, part, unreadable), part) for part in parts.values() or [[]]]


def _parts(record: dict, names) -> str:
    return json.dumps([record["config"][name] for name in names])


# The columns in the order of their importance: a page may be too narrow for all.
ORDER = ("row", "on shortcut", "on F", "ours", "IoU", "paper", "against its baseline", "verdict", "n")

ORDER += tuple(name for name in HEADER if name not in ORDER)


def section(name: str, table: Table, records: list[dict], runs_dir: Path) -> dict:
    """What report.html shows of a table and its runs."""
    study, shown = table.study, sorted(used(table), key=[HEADER.index(name) for name in ORDER].index)
    runs = by_row(study, records)
    lowest = min((line.median for line in table.lines if line.n), default=None)
    lines = []
    for number, line in enumerate(table.lines):
        texts = cells(line, table)
        lines.append(
            {
                "number": number,
                "name": line.row.name,
                "run": line.n,
                "fails": line.fails,
                "best": line.n and line.median == lowest and not line.fails,
                "cells": [(texts[i], _number(texts[i]) if HEADER[i] in SORTED_BY_NUMBER else None) for i in shown],
                "seeds": Markup(sketch.seeds(list(line.errors.values()), line.paper_error)) if line.n else "",
                "runs": [_run(record) for record in runs.get(line.row.name, [])],
            }
        )
    return {
        "name": name,
        "title": title(table),
        "table": table,
        "answer": answer(table),
        "columns": columns.of(table),
        "is_number": columns.NUMERIC,
        "header": [(HEADER[i], HEADER[i] in NUMERIC) for i in shown],
        "lines": lines,
        "notes": notes(table),
        "missing": _missing(table, records, runs_dir),
        "figures": _figures(name, table, records),
        "run": bool(records),
    }


def _number(text: str) -> float | str:
    """The sort key of a cell: its first number; a fail without one comes after all numbers, an empty cell last."""
    number = re.search(r"[+-]?\d+(\.\d+)?", text)
    return float(number[0]) if number else 1e9 if text in ("fail", "diverged", "all diverged") else ""


def _figures(name: str, table: Table, records: list[dict]) -> list[dict]:
    """The study's figures, then those of what was measured on its runs."""
    study, (measured, differing) = table.study, measurements(records)
    drawn = [_figure(figure, table, records, f"{name}-{figure.name}-") for figure in study.figures]
    drawn += [_why(kind, study, measured_runs, f"{name}-{kind}-") for kind, measured_runs in measured.items()]
    return drawn + [_not_drawn(kind, reason) for kind, reason in differing.items()]


def _not_drawn(name: str, reason: str) -> dict:
    return {"name": name, "svg": "", "narrow": True, "caption": f"Not drawn: {reason}."}


def _figure(drawn: Figure, table: Table, records: list[dict], prefix: str) -> dict:
    """A study's figure as a part of the page, with its caption."""
    from ablations.reports import figure

    try:
        svg = figure.draw(drawn, table.study, records, "svg", captioned=False, unreadable=table.unreadable).decode()
    except UserError as error:
        return _not_drawn(drawn.name, str(error))
    without = unreadable_rows(table.study, table.unreadable)
    caption = f"{drawn.caption}. {figure.caption(drawn, records, without)}"
    svg = _in_page(svg, drawn.caption, prefix)
    return {"name": drawn.name, "svg": svg, "narrow": len(drawn.panels) == 1, "caption": caption}


def _why(kind: str, study: Study, measured_runs: list[dict], prefix: str) -> dict:
    """The figure of a kind of measurement."""
    from ablations.reports import analysis_figures

    svg, caption = analysis_figures.of_study(kind, study, measured_runs, "svg", captioned=False)
    return {"name": kind, "svg": _in_page(svg.decode(), kind, prefix), "narrow": False, "caption": caption}


def _in_page(svg: str, label: str, prefix: str) -> Markup:
    """An SVG as a part of the page: without metadata and styles, in the page's colours, with ids of its own."""
    from ablations.reports import style

    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{label}">', svg, count=1)
    colours = {colour: f"var(--look-{i})" for i, (colour, *_) in enumerate(style.LOOKS)}
    colours |= {style.INK: "currentColor", style.GRID: "var(--line)", style.SHADE: "var(--shade)"}
    colours |= {"#ffffff": "var(--paper)", "white": "var(--paper)"}

    def shorter(tag):
        text = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag[0])
        text = re.sub(r'(id="|url\(#|href="#)', rf"\1{prefix}", text).replace("xlink:href", "href")
        text = re.sub("#[0-9a-f]{6}", lambda colour: colours.get(colour[0], colour[0]), text)
        return re.sub(r"\s+", " ", text)

    return Markup(re.sub(r">\s+<", "><", re.sub(r"<[^>]*>", shorter, svg)))


def _missing(table: Table, records: list[dict], runs_dir: Path) -> dict | None:
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
    commands = [[*start, *kept, f"row={','.join(same_data)}", *end]] if same_data else []
    commands += [[*start, f"row={','.join(others)}", *end]] if others else []
    return {"rows": rows, "commands": [shlex.join(command) for command in commands]}


def _settings_typed(command: str, study: Study) -> list[str]:
    """The settings of a command. A call from Python names all settings; those that define a row are left out."""
    if not command.startswith(CALL):
        return shlex.split(command)[2:]
    rows = tuple(f"{key}{end}" for row in study.rows for key in row.settings for end in "=.")
    return [word for word in shlex.split(command.removeprefix(CALL).removesuffix(")")) if not word.startswith(rows)]


def _run(record: dict) -> dict:
    try:
        metrics = record["folder"].metrics()
        curve = Markup(sketch.curve(metrics)) if metrics else "Its metrics.jsonl is missing."
    except (ValueError, KeyError, TypeError):
        curve = "Its metrics.jsonl is damaged."
    config = [
        f"{group}.{key}={_plain(value)}" if key else f"{group}={value}"
        for group, values in record["config"].items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    ]
    facts = [(key, value) for key, value in record.items() if isinstance(value, str | int | float)]
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())))
    return {
        "record": record,
        "outcome": "diverged" if record["status"] == "diverged" else f"{record['test_error_percent']:.2f} %",
        "curve": curve,
        "facts": [(key.replace("_", " "), value, _short(value)) for key, value in facts],
        "config": "\n".join(config),
    }


def _plain(value) -> str:
    """A value as the command accepts it."""
    return value if isinstance(value, str) else json.dumps(value)


def _short(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
