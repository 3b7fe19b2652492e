"""A status as text: for a terminal, in Markdown, as JSON."""

from dataclasses import asdict
from itertools import groupby

from ablations.launch.status import STATES, Run, Status
from ablations.terminal.units import duration

FORMATS = ("terminal", "markdown", "json")
NOTES = 12  # the failed runs that are described; the others are counted
UNFINISHED, FAILED = 3, 1  # exit codes


def title(status: Status) -> str:
    return f"{status.study}, in {status.folder}"


def cells(status: Status) -> list[dict]:
    """One line for each row, and the sums. The last two states are left out if no run is in them."""
    shown = [state for state in STATES if state in STATES[:4] or status.count(state)]
    rows = [(row, list(runs)) for row, runs in groupby(status.runs, lambda run: run.row)]
    if len(rows) > 1:
        rows.append(("all", list(status.runs)))
    return [
        {
            "row": row,
            **{state: str(sum(run.state == state for run in runs) or "") for state in shown},
            "time left": _left(status, runs),
            "runs now": "; ".join(map(_now, [run for run in runs if run.state == "running"])) if row != "all" else "",
        }
        for row, runs in rows
    ]


def _left(status: Status, runs: list[Run]) -> str:
    seconds = status.seconds_left(runs)
    return "" if seconds == 0 else duration(seconds)


def _now(run: Run) -> str:
    step = f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else "")
    return f"seed={run.seed} {step}, {run.note}"


def notes(status: Status) -> list[str]:
    running = status.count("running")
    lines = []
    if status.count("done") < len(status.runs):
        at_a_time = f"{running} run{'s' * (running > 1)} at a time, as now" if running else "one run at a time"
        lines.append(
            f"Time left: with {at_a_time}, if each takes as long as the known runs of its row, or else of the study."
        )
    waiting = sorted({run.note for run in status.runs if run.state == "waiting"})
    if waiting:
        lines.append(f"Waiting: {'; '.join(waiting[:3])}{'; ...' if len(waiting) > 3 else ''}.")
    failed = [run for run in status.runs if run.state == "failed"]
    for run in failed[:NOTES]:
        kept = f" (step {run.step:,} is kept)" if run.step else ""
        lines.append(f"Failed: {run.row} seed={run.seed}: {run.note}{kept}")
    if len(failed) > NOTES:
        lines.append(f"{len(failed) - NOTES} more have failed: format=json names them.")
    if failed or status.count("interrupted"):
        lines.append("To go on with what is not done, type the command that started it again.")
    return lines


def as_json(status: Status) -> dict:
    """A status in plain numbers."""
    return {
        "study": status.study,
        "folder": str(status.folder),
        "counts": {state: status.count(state) for state in STATES},
        "seconds_left": status.seconds_left(status.runs),
        "runs": [asdict(run) for run in status.runs],
    }
