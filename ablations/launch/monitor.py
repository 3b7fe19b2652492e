"""What a person sees of a sweep: all runs at once, read from their folders while they train.

It does not know how the runs are launched, so it serves processes on this machine and jobs of a cluster alike.
"""

import contextlib
import shutil
import sys
import threading
import time

from ablations.config.logger import is_on
from ablations.loggers.mirror import failure
from ablations.runs import progress
from ablations.runs.folder import RunFolder
from ablations.runs.lines import metrics_so_far
from ablations.runs.progress import clock
from ablations.runs.record import UnreadableRecord, failed, tested
from ablations.system import lock
from ablations.terminal.output import tell

CONTINUE = "interrupt and type the same command to continue"
SECONDS_BETWEEN_LINES = 15.0


class Monitor:
    """Shows jobs until they are done; a context manager.

    On a terminal it shows one live table; elsewhere it prints a line when a run is done, and its progress now and then.
    hint: what the user can do meanwhile.
    """

    def __init__(self, jobs, *, quiet: bool = False, hint: str = CONTINUE, seconds_between_looks: float = 0.5):
        self.jobs, self.quiet, self.hint = jobs, quiet, hint
        names = progress.titles((job.config for job in jobs), shutil.get_terminal_size((132, 24)).columns)
        self.titles = {RunFolder.of(job.config): name for job, name in zip(jobs, names, strict=True)}
        self.seconds_between_looks = seconds_between_looks
        self.started, self.last_line = time.time(), time.time()
        self.done, self.failure_shown = {}, False
        self.stop = threading.Event()
        self.live = None

    def __enter__(self):
        if self.quiet:
            return self
        folder = RunFolder.of(self.jobs[0].config).study_folder
        tell(f"{len(self.jobs)} run{'s' * (len(self.jobs) != 1)}, in {folder}; {self.hint}")
        if is_on(self.jobs[0].config.logger):
            tell(self.jobs[0].config.logger.where(folder))
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.live = Live(console=Console(stderr=True), refresh_per_second=2)
            self.live.start()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        if self.quiet:
            return
        self.stop.set()
        self.thread.join()
        self._look()
        if self.live:
            with contextlib.suppress(OSError):
                self.live.stop()

    def _watch(self):
        while not self.stop.wait(self.seconds_between_looks):
            self._look()

    def _look(self):
        running = {}
        for job in self.jobs:
            folder = RunFolder.of(job.config)
            if not self.failure_shown and (text := failure(folder.path)):
                self.failure_shown = True  # the loggers of other runs mostly fail alike
                self._say(f"{self.titles[folder]}: {text}")
            if folder in self.done:
                continue
            record = self._fresh(folder)
            if record:
                self.done[folder] = record
                if not self.live:
                    self._say(f"[{len(self.done)}/{len(self.jobs)}] {self.titles[folder]}: {_result(record)}")
            else:
                running[folder] = _progress(folder)
        if self.live:
            self.live.update(self._table(running))
        elif time.time() - self.last_line > SECONDS_BETWEEN_LINES:
            for folder, title in self.titles.items():
                if text := running.get(folder):
                    self._say(f"      {title}: {text}")

    def _fresh(self, folder: RunFolder) -> dict | None:
        try:
            if folder.record_file.stat().st_mtime < self.started - 1:
                return None  # the record of an earlier run, which is being replaced
            return folder.record()
        except (OSError, UnreadableRecord):  # the command itself reports it
            return None

    def _say(self, line):
        self.last_line = time.time()
        line = f"{clock(time.time() - self.started):>6}  {line}"
        if not self.live:
            tell(line)
            return
        with contextlib.suppress(OSError):  # the terminal may be gone
            self.live.console.print(line, highlight=False, markup=False)

    def _table(self, running):
        from rich.table import Table

        table = Table(
            box=None, title=f"{len(self.done)} of {len(self.jobs)} runs done, {clock(time.time() - self.started)}"
        )
        table.add_column("run", no_wrap=True)
        table.add_column("")
        for folder, title in self.titles.items():
            record = self.done.get(folder)
            if record:
                table.add_row(title, _result(record), style="red" if failed(record) else "green")
            elif running[folder]:
                table.add_row(title, running[folder])
            else:
                table.add_row(title, "waiting", style="dim")
        return table


def _result(record) -> str:
    error = tested(record)
    if failed(record):
        error += ', in a table: "fail"'
    return f"{record['status']}, {error}, {record['steps']} steps in {clock(record['wall_seconds'])}"


def _progress(folder: RunFolder) -> str:
    now = progress.read(folder)
    if now is None or not lock.holder(folder.path):  # a run that was killed leaves its progress.json
        return ""
    text = f"step {now['step']}/{now['total_steps']}"
    if now["train_loss"] is not None:
        text += f"  loss {now['train_loss']:.3f}"
    metrics = metrics_so_far(folder.path)
    if metrics:
        text += f"  test error {metrics[-1]['test_error_percent']:.1f} %"
    text += f"  {now['train_images_per_second']:,.0f} images/s"
    return text + (f"  {clock(now['seconds_left'])} left" if now["seconds_left"] else "")
