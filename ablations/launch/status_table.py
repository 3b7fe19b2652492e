"""How a status looks: on a terminal, in Markdown, as JSON."""

from dataclasses import asdict
from itertools import groupby

from ablations.launch.status import STATES, Run, Status
from ablations.terminal.units import duration

FORMATS = ("terminal", "markdown", "json")

NOTES = 12  # of runs that have failed, before "and so many more"

UNFINISHED, FAILED = 3, 1  # exit codes


def title(one: Status) -> str:
    return f"{one.study}, in {one.folder}"


def cells(one: Status) -> list[dict]:
    """A line for each row, and the sums; states that no run is in are left out but for the first four."""
    shown = [state for state in STATES if state in STATES[:4] or one.count(state)]
    rows = [(row, list(of)) for row, of in groupby(one.runs, lambda run: run.row)]
    if len(rows) > 1:
        rows.append(("all", list(one.runs)))
    return [
        {
            "row": row,
            **{state: str(sum(run.state == state for run in of) or "") for state in shown},
            "time left": _left(one, of),
            "runs now": "; ".join(map(_now, [run for run in of if run.state == "running"])) if row != "all" else "",
        }
        for row, of in rows
    ]


def _left(one: Status, runs: list[Run]) -> str:
    seconds = one.seconds_left(runs)
    return "" if seconds == 0 else duration(seconds)


def _now(run: Run) -> str:
    step = f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else "")
    return f"seed={run.seed} {step}, {run.note}"


def notes(one: Status) -> list[str]:
    running = one.count("running")
    lines = []
    if one.count("done") < len(one.runs):
        lines.append(
            f"Time left: as many runs at a time as now, {running}, each as long as those of its row that are known, or of the study."
            if running
            else "Time left: one run at a time, as none runs now; each as long as those of its row that are known, or of the study."
        )
    waiting = sorted({run.note for run in one.runs if run.state == "waiting"})
    if waiting:
        lines.append(f"Waiting: {'; '.join(waiting[:3])}{'; ...' if len(waiting) > 3 else ''}.")
    failed = [run for run in one.runs if run.state == "failed"]
    for run in failed[:NOTES]:
        kept = f" (step {run.step:,} is kept)" if run.step else ""
        lines.append(f"Failed: {run.row} seed={run.seed}: {run.note}{kept}")
    if len(failed) > NOTES:
        lines.append(f"And {len(failed) - NOTES} more that failed: format=json names them.")
    if failed or one.count("interrupted"):
        lines.append("The command that started them goes on with what is not done.")
    return lines


def as_json(one: Status) -> dict:
    """In plain numbers."""
    return {
        "study": one.study,
        "folder": str(one.folder),
        "counts": {state: one.count(state) for state in STATES},
        "seconds_left": one.seconds_left(one.runs),
        "runs": [asdict(run) for run in one.runs],
    }
