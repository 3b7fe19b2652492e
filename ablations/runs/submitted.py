"""`submitted.json` in a study's folder: which runs were handed to a queue or to a detached process.

Reading it needs the standard library only.
"""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ablations.config import quoting
from ablations.errors import UserError
from ablations.system import lock
from ablations.system.files import write_whole

FILE = "submitted.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Submission:
    """The runs that one command has submitted.

    launcher: "slurm", or "process" for a detached process.
    jobs: for each run, by its name ROW/seed=K, its job in the queue; "" if one process has them all.
    logs: for a process, the file that is locked for as long as it lives; for a queue, the pattern of its jobs' log folders.
    """

    launcher: str
    time: str
    host: str
    command: str
    logs: str
    jobs: dict[str, str]


def read(study_folder: Path) -> list[Submission]:
    """The submissions of a study's folder, the oldest first.

    Raises UserError if the file is damaged.
    """
    path = study_folder / FILE
    try:
        content = json.loads(path.read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {content['schema_version']}")
        return [Submission(**fields) for fields in content["submissions"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}): check with squeue what is queued, then remove the file"
        ) from error


def add(study_folder: Path, submission: Submission) -> None:
    submissions = [asdict(each) for each in [*read(study_folder), submission]]
    content = {"schema_version": SCHEMA_VERSION, "submissions": submissions}
    write_whole(study_folder / FILE, json.dumps(content, indent=2) + "\n")


def latest(study_folder: Path) -> dict[str, Submission]:
    """The last submission of each run, by the run's name ROW/seed=K."""
    return {name: submission for submission in read(study_folder) for name in submission.jobs}


@contextmanager
def locked(study_folder: Path) -> Iterator[None]:
    """Within this block no other command submits runs of this study."""
    study_folder.mkdir(parents=True, exist_ok=True)
    with lock.locked(
        study_folder / f".{FILE}.lock", waiting=lambda: print("another command is submitting: waiting for it")
    ):
        yield


def status_command(study_folder: Path) -> str:
    """The command that shows how far a study's runs are."""
    words = ["ablations", "status", f"study={study_folder.name}"]
    if (runs_dir := str(study_folder.parent)) != "runs":
        words.append(f"runs_dir={quoting.path(runs_dir)}")
    return shlex.join(words)
