"""`ablations report`: one page about a folder of runs, which needs no network, no server and no other file.

report.html is its Jinja template, report.css its style; report.js is what its buttons do.
"""

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path

from markupsafe import Markup, escape

from ablations import __version__
from ablations.analysis.measurement import measurements
from ablations.config.study import Figure, Study
from ablations.errors import UserError
from ablations.reports import missing, sketch
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations.runs.record import UnreadableRecord
from ablations.tables import columns, comparable, critical, critical_table
from ablations.tables.answer import answer, statistics
from ablations.tables.cells import HEADER, NUMERIC, cells, notes, title, used
from ablations.tables.table import Table, by_row, select, unreadable_rows

SORTED_BY_NUMBER = (*NUMERIC, "against its baseline")


def make_page(runs_dir: Path, selection: list[Study], settings: dict[str, str]) -> str:
    """The page about these studies. It lists the runs that cannot be read."""
    from jinja2 import Environment, StrictUndefined

    sections, unread = [], []
    read = {study: read_records(runs_dir, study.name) for study in selection}
    selected = select([record for records, _ in read.values() for record in records], settings)
    for study, (records, unreadable) in read.items():
        unread += _unread(runs_dir, study, records, unreadable)
        records = [record for record in selected if record["folder"].study == study.name]
        for table, own_records in comparable.tables(study, records, unreadable):
            sections.append(section(f"{study.name}-{len(sections)}", table, own_records, runs_dir))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = _breakable
    script = _asset("report.js")
    return environment.from_string(_asset("report.html")).render(
        sections=sections,
        unread=unread,
        count=len(selected),
        runs_dir=runs_dir,
        style=_asset("report.css"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
    )


def _breakable(name: str) -> Markup:
    """A long name that a narrow page may break after an underscore or a comma."""
    return Markup(re.sub("([_,])", r"\1<wbr>", str(escape(name))))


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


# The columns in the order in which they stand.
ORDER = ("row", "on shortcut", "on F", "ours", "IoU", "paper", "against its baseline", "verdict", "n")

ORDER += tuple(name for name in HEADER if name not in ORDER)

# The columns that are folded away where there is no room for all, the first one first; the others never are.
FOLDED = ("figure", "95 % interval", "mean ± std", "ours - paper", "n", "on F", "against its baseline", "each seed")
FOLDED += ("on shortcut", "verdict", "paper", "IoU")
FOLDED_PARTS = ("ours - paper", "mean ± std (n)", "paper", "verdict", "IoU")
FOLDED_CRITICAL = ("factor", "Eqn. 8", "paper", "depth", "95 % interval")


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
        "fold": lambda name: _rank(name, FOLDED),
        "fold_part": lambda name: _rank(name, FOLDED_PARTS),
        "lines": lines,
        "critical": _critical(table, records),
        "notes": statistics(table) + notes(table),
        "missing": missing.of(table, records, runs_dir),
        "figures": _figures(name, table, records),
        "run": bool(records),
    }


def _rank(name: str, folded: tuple[str, ...]) -> int:
    """When a column is folded away: 1 first; 0 never."""
    return folded.index(name) + 1 if name in folded else 0


def _critical(table: Table, records: list[dict]) -> dict | None:
    """The table of critical depths; None if the study is not one of depths, or has runs of one depth only."""
    try:
        made = critical.make(table.study, records, unreadable=table.unreadable)
    except (UserError, ValueError):  # of a record with settings that this program does not know
        return None
    rows, said = critical_table.cells(made), notes(table)
    kinds = {name: "depth" if name.isdecimal() else name.partition(",")[0] for name in rows[0]}
    return {
        "header": [(name, _rank(kind, FOLDED_CRITICAL)) for name, kind in kinds.items()],
        "rows": [list(row.values()) for row in rows],
        "notes": [note for note in critical_table.notes(made) if note not in said],
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
