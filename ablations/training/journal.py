"""What a run reports during training: metrics.jsonl, its copies in loggers, and what a person sees."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ablations.config.run import Config
from ablations.loggers.mirror import Mirror
from ablations.runs.folder import RunFolder
from ablations.runs.lines import Lines
from ablations.runs.progress import Progress
from ablations.training import processes
from ablations.training.tally import Tally


class Journal:
    """Reports the progress of a run. If the run has several processes, only the first one writes."""

    def __init__(self, config: Config, folder: Path, progress: Progress, mirror: Mirror, *, writes: bool):
        self.config, self.folder, self.writes = config, folder, writes
        self.progress, self.mirror, self.tally = progress, mirror, Tally()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, config: Config, folder: Path, *, quiet: bool) -> Iterator["Journal"]:
        writes = processes.is_first()
        with (
            Progress(config, folder, quiet=quiet, writes=writes) as progress,
            Mirror(config, folder, progress.say) as mirror,
        ):
            yield cls(config, folder, progress, mirror, writes=writes)

    def say(self, line: str) -> None:
        self.progress.say(line)

    def begin(self, tally: Tally) -> None:
        """Write the evaluations of earlier processes, and start the logger. tally: what is reported from now on."""
        self.tally = tally
        if tally.step:
            self.say(f"{self.progress.name}  goes on from step {tally.step}")
        if self.writes:
            self.lines = Lines(RunFolder(self.folder).metrics_file, tally.metrics)
            self.mirror.start()

    def report_broken(self, name: str) -> None:
        """Report a broken image, the first time it is met."""
        if name not in self.tally.broken:
            self.tally.broken.append(name)
            self.say(f"{self.progress.name}  {name} is broken: skipped")

    def trained(self) -> None:
        """Report some steps of training."""
        tally, images = self.tally, self.config.recipe.batch_size
        images_per_second = tally.step * images / tally.train_seconds
        self.progress.update(tally.step, tally.losses[-1], 100 * tally.wrong[-1] / images, images_per_second)

    def evaluated(self, metrics: dict) -> None:
        """Report an evaluation; all processes of the run must call this."""
        for names in processes.all_processes(list(self.tally.broken)):
            for name in names:
                self.report_broken(name)
        if self.writes:
            self.lines.add(metrics)
        self.tally.add_evaluation(metrics)
        self.progress.evaluated(metrics)
