"""The folder of a run, RUNS_DIR/STUDY/ROW/seed=K: the names of its files, and how to find all such folders.

Needs the standard library only.
"""

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.runs import record
from ablations.runs.record import UnreadableRecord
from ablations.system import lock
from ablations.system.files import may

SEED = "seed="


@dataclass(frozen=True, order=True)
class RunFolder(os.PathLike):
    """The folder of one run. Its path alone gives `study`, `row` and `seed`, whether or not the folder exists.

    record_file, weights_file: the result and the weights; they exist once the run is finished.
    examples_file: of segmentation, a few test images, their masks and what the finished run predicts.
    metrics_file: one line for each evaluation. probes_file: one line for each probe during training. Beside them grow those
        of a run that replaces a finished one (`lines`).
    failure_file: why the last try ended without a record. logger_failure_file: why the run could not be logged.
    progress_file: how far the run is, while it trains.
    lock_file: locked for as long as a process works on the run.
    checkpoints: a folder, which is removed once the run is finished.
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
        """Its name within its study: ROW/seed=K."""
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
    def examples_file(self) -> Path:
        return self.path / "examples.npz"

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.txt"

    @property
    def logger_failure_file(self) -> Path:
        return self.path / "logger-failed.txt"

    @property
    def progress_file(self) -> Path:
        return self.path / "progress.json"

    @property
    def lock_file(self) -> Path:
        return self.path / lock.FILE

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def is_begun(self) -> bool:
        """Whether anything has been trained or measured in this folder."""
        return any(self.path.glob("*.json*"))

    def record(self) -> dict | None:
        """The record of a finished run; None if there is none.

        Raises UnreadableRecord if there is one that this program cannot read.
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

        Raises UserError if one of them is missing, UnreadableRecord if the record cannot be read.
        """
        result = self.record()
        if result is None:
            raise UserError(f"run={self}: there is no finished run in this folder")
        if not self.weights_file.is_file():
            raise UserError(
                f"run={self}: its {self.weights_file.name} is gone; ablations train ... force=true trains it again"
            )
        return result, self.weights_file

    def failure(self) -> str | None:
        """Why the last try ended without a record, in one line; None if there is no failure file or it is empty."""
        try:
            lines = self.failure_file.read_text(errors="replace").strip().splitlines()
        except OSError:
            return None
        if not lines:  # a full disk leaves it empty
            return None
        # Older versions wrote only a traceback, whose last line is the reason.
        return lines[0] if lines[1:2] == [""] else lines[-1]

    def note_failure(self, reason: str, details: str = "") -> None:
        """Write why a try ended: one line and, below it, the details."""
        with contextlib.suppress(OSError):  # the reason may be a full disk
            self.failure_file.write_text(f"{reason}\n\n{details}" if details else f"{reason}\n")


def run_folders(runs_dir: Path, study: str | None = None) -> list[RunFolder]:
    """The folders of runs in `runs_dir`, of one study or of all, in the order of their paths.

    Raises UserError if `runs_dir` or the study's folder cannot be read.
    """
    rows = (row for folder in study_folders(runs_dir, study) for row in folders_in(folder))
    return sorted(RunFolder(path) for row in rows if may_read(row) for path in folders_in(row) if _is_run(path))


def study_folders(runs_dir: Path, study: str | None = None) -> list[Path]:
    """The folder of a study, or of all studies that can be read; none if there is none.

    Raises UserError if `runs_dir` or the study's folder cannot be read.
    """
    found = [folder for folder in folders_in(runs_dir) if study in (None, folder.name)]
    for folder in found if study else ():
        folders_in(folder)
    return [folder for folder in found if may_read(folder)]


def folders_in(folder: Path) -> list[Path]:
    """Raises UserError if the folder cannot be read; there need not be any."""
    try:
        return sorted(path for path in folder.iterdir() if os.path.isdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read: {error.strerror}; have it made readable, or choose another"
        ) from error


def may_read(folder: Path) -> bool:
    return may(folder, os.R_OK | os.X_OK)


def _is_run(path: Path) -> bool:
    number = path.name.removeprefix(SEED)
    return number != path.name and number.isdecimal()


def read_records(runs_dir: Path, study: str) -> tuple[list[dict], list[UnreadableRecord]]:
    """The records of a study's finished runs, each with its `folder`, in the order of folders; and the unreadable ones."""
    records, unreadable = [], []
    for row in (row for folder in study_folders(runs_dir, study) for row in folders_in(folder) if not may_read(row)):
        unreadable.append(UnreadableRecord(row / f"{SEED}*" / record.RECORD, os.strerror(errno.EACCES)))
    for folder in run_folders(runs_dir, study):
        try:
            if (result := folder.record()) is not None:
                records.append(result | {"folder": folder})
        except UnreadableRecord as error:
            unreadable.append(error)
    return records, unreadable
