"""What a person sees while a run trains: a bar on a terminal, plain lines elsewhere.

The same figures go to `progress.json` in the run's folder, about once a second, so that a sweep can show all of its
runs at once. The file is removed when the run ends.
"""

import contextlib
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from ablations.config.run import Config
from ablations.runs.folder import RunFolder
from ablations.system.files import write_whole
from ablations.terminal.output import tell

SECONDS_BETWEEN_WRITES = 1.0
WIDTHS = (24, 44)  # of a run's title, on a narrow screen and a wide one; the figures beside it take 68
FIGURES = 68


def titles(configs: Iterable[Config], columns: int) -> list[str]:
    """How a person sees each run on a screen so wide: its row or, of several runs, those of its settings that not all have.

    A long one is cut, unless two runs would then look alike.
    """
    configs = list(configs)
    parts = [_parts(config) for config in configs]
    shared = set(parts[0]).intersection(*parts[1:]) if len(set(map(tuple, parts))) > 1 else set()
    names = [",".join(part for part in own if part not in shared) or "default" for own in parts]
    ends = [f" seed={config.seed}" for config in configs]
    width = min(max(columns - FIGURES, WIDTHS[0]), WIDTHS[1])
    cut = [_cut(name, width - len(end)) + end for name, end in zip(names, ends, strict=True)]
    whole = list(map(str.__add__, names, ends))
    return cut if len(set(cut)) == len(set(whole)) else whole


def _parts(config: Config) -> list[str]:
    """What a run's name is made of; in a study its row, since all else is the same for all of them."""
    if config.study == "single":
        return re.split(r",(?=[^,=\[\](){}]+=)", config.row)
    return [config.row.partition(",")[0]]


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


class Progress:
    """Shows the progress of one run; a context manager.

    quiet: show nothing. writes: keep `progress.json` up to date.
    """

    def __init__(self, config: Config, folder: Path, *, quiet: bool = False, writes: bool = True):
        self.total, self.quiet, self.file = config.recipe.total_steps, quiet, RunFolder(folder).progress_file
        [self.name] = titles([config], shutil.get_terminal_size((132, 24)).columns)
        self.first_step, self.started, self.written = 0, time.perf_counter(), 0.0
        self.bar, self.writes = None, writes
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )

    def __enter__(self):
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=self.total, figures="compiling")
        return self

    def __exit__(self, *_):
        if self.bar:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self.bar.stop()
        if self.writes:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)

    def update(self, step: int, loss: float, error_percent: float, images_per_second: float) -> None:
        """Show what the last of some steps gave."""
        now = time.perf_counter()
        if now - self.written < SECONDS_BETWEEN_WRITES and step < self.total:
            return
        if not self.written:
            self.first_step, self.started = step, now  # compilation must not count in the time left
        self.written = now
        rate = (step - self.first_step) / max(now - self.started, 1e-9)
        left = (self.total - step) / rate if rate else None
        figures = {
            "step": step,
            "total_steps": self.total,
            "train_loss": loss if math.isfinite(loss) else None,
            "train_error_percent": error_percent,
        }
        figures |= {"train_images_per_second": images_per_second, "seconds_left": left}
        # A full disk may stop a run when it writes a result, but not when it reports its progress.
        if self.writes:
            with contextlib.suppress(OSError):
                write_whole(self.file, json.dumps(figures))
        if self.bar:
            text = f"loss {loss:.3f}  error {error_percent:5.1f} %  {images_per_second:,.0f} images/s"
            text += f"  {clock(left)} left" if left is not None else ""
            self.bar.update(self.task, completed=step, figures=text)

    def evaluated(self, metrics: dict) -> None:
        """Report an evaluation, in one line."""
        if self.quiet:
            return
        line = (
            f"{self.name}  step {metrics['step']}/{self.total}  epoch {metrics['epoch']:.1f}  "
            f"lr {metrics['lr']:g}  train loss {_number(metrics['train_loss'])}  "
            f"train error {metrics['train_error_percent']:.2f} %  test error {metrics['test_error_percent']:.2f} %"
        )
        if (top5 := metrics.get("test_top5_error_percent")) is not None:
            line += f"  top-5 {top5:.2f} %"
        if (iou := metrics.get("test_iou_percent")) is not None:
            line += f"  IoU {iou:.2f} %"
        self.say(line)

    def say(self, line: str) -> None:
        if self.bar:
            with contextlib.suppress(OSError):
                self.bar.console.print(line, highlight=False, markup=False)
        elif not self.quiet:
            tell(line)


def read(folder: RunFolder) -> dict | None:
    """The content of a run's `progress.json`; None if there is none."""
    try:
        return json.loads(folder.progress_file.read_text())
    except (OSError, ValueError):
        return None


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"


def clock(seconds: float) -> str:
    """A time as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
