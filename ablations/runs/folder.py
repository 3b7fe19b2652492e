"""The folder of a run, RUNS_DIR/STUDY/ROW/seed=K: what its files are called, and which folders there are.

Needs the standard library only.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.runs import record
from ablations.runs.record import UnreadableRecord

SEED = "seed="


@dataclass(frozen=True, order=True)
class RunFolder(os.PathLike):
    """The folder of one run. `study`, `row` and `seed` are said by its path, whether or not it exists.

    record_file: the result, there once the run is finished. weights_file: of a finished run.
    metrics_file: a line an evaluation; probes_file: a line a probe along training.
    failure_file: why the last try ended without a record; progress_file: how far a run is that is on its way.
    lock_file: is locked as long as a process works on the run. checkpoints: a folder, gone once the run is finished.
    hydra: a folder with the composed configuration, as Hydra writes it.
    """

    path: Path

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        """The folder in which a run of this configuration is kept."""
        return cls(Path(config.runs_dir) / config.study / config.row / f"{SEED}{config.seed}")

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def study_folder(self) -> Path:
        return self.path.parents[1]

    @property
    def study(self) -> str:
        return self.study_folder.name

    @property
    def row(self) -> str:
        return self.path.parent.name

    @property
    def seed(self) -> int:
        return int(self.path.name.removeprefix(SEED))

    @property
    def name(self) -> str:
        """In its study: ROW/seed=K."""
        return f"{self.row}/{self.path.name}"

    @property
    def record_file(self) -> Path:
        return self.path / record.RECORD

    @property
    def metrics_file(self) -> Path:
        return self.path / record.METRICS

    @property
    def probes_file(self) -> Path:
        return self.path / "probes.jsonl"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.txt"

    @property
    def progress_file(self) -> Path:
        return self.path / "progress.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def is_begun(self) -> bool:
        """Whether something has been trained or measured in it."""
        return any(self.path.glob("*.json*"))

    def record(self) -> dict | None:
        """The record of a finished run; None where there is none.

        Raises UnreadableRecord where there is one that this program cannot read.
        """
        return record.read_record(self.path)

    def has_record(self) -> bool:
        """Whether there is a record that can be read."""
        try:
            return self.record() is not None
        except UnreadableRecord:
            return False

    def metrics(self) -> list[dict]:
        """The evaluations so far; a last line that was cut short is left out."""
        return record.read_metrics(self.path)

    def finished(self) -> tuple[dict, Path]:
        """The record and the weights file of a finished run.

        Raises UserError where one of them is missing, UnreadableRecord where the record cannot be read.
        """
        found = self.record()
        if found is None:
            raise UserError(f"run={self}: there is no finished run in this folder")
        if not self.weights_file.is_file():
            raise UserError(
                f"run={self}: its {self.weights_file.name} is gone; ablations train ... force=true makes it anew"
            )
        return found, self.weights_file

    def failure(self) -> str | None:
        """Why the last try ended without a record, in a line; None where it did not, or does not say why."""
        try:
            lines = self.failure_file.read_text().strip().splitlines()
        except OSError:
            return None
        if not lines:  # a full disk leaves it empty
            return None
        # Of a traceback by itself, as older versions wrote it, the last line says it.
        return lines[0] if lines[1:2] == [""] else lines[-1]

    def note_failure(self, reason: str, details: str = "") -> None:
        """Write why a try ended: a line and, below it, what led there."""
        with contextlib.suppress(OSError):  # a full disk is why, perhaps
            self.failure_file.write_text(f"{reason}\n\n{details}" if details else f"{reason}\n")


def run_folders(runs_dir: Path, study: str | None = None) -> list[RunFolder]:
    """The folders of runs in `runs_dir`, of one study or of all, in the order of their paths."""
    studies = [runs_dir / study] if study is not None else runs_dir.glob("*")
    return sorted(RunFolder(path) for of_study in studies for path in of_study.glob(f"*/{SEED}*") if _is_run(path))


def _is_run(path: Path) -> bool:
    return path.name.removeprefix(SEED).isdecimal() and path.is_dir()


def read_records(runs_dir: Path, study: str) -> tuple[list[dict], list[UnreadableRecord]]:
    """All finished runs of a study, in the order of their folders, each with its `folder`; and those that cannot be read."""
    records, unreadable = [], []
    for folder in run_folders(runs_dir, study):
        try:
            if (found := folder.record()) is not None:
                records.append(found | {"folder": folder})
        except UnreadableRecord as error:
            unreadable.append(error)
    return records, unreadable
