"""`submitted.json` in a study's folder: which runs were handed to a queue or to a process of its own, as which jobs.

Reading it needs the standard library only.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ablations.errors import UserError
from ablations.system import lock
from ablations.system.files import write_whole

FILE = "submitted.json"

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Submission:
    """One command's.

    jobs: of each run, as ROW/seed=K, the job of the queue; "" where one process has all of them.
    logs: the file that is locked as long as this process lives; of a queue the place of its files.
    """

    launcher: str
    time: str
    host: str
    command: str
    logs: str
    jobs: dict[str, str]


def read(of_study: Path) -> list[Submission]:
    """The submissions of a study's folder, the oldest first.

    Raises UserError where the file is damaged.
    """
    path = of_study / FILE
    try:
        content = json.loads(path.read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {content['schema_version']}")
        return [Submission(**one) for one in content["submissions"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}): see with squeue what is queued, then remove the file"
        ) from error


def add(of_study: Path, submission: Submission) -> None:
    everything = [asdict(one) for one in [*read(of_study), submission]]
    content = {"schema_version": SCHEMA_VERSION, "submissions": everything}
    write_whole(of_study / FILE, json.dumps(content, indent=2) + "\n")


def latest(of_study: Path) -> dict[str, Submission]:
    """Of each run, as ROW/seed=K, the submission that had it last."""
    return {name: one for one in read(of_study) for name in one.jobs}


@contextmanager
def alone(of_study: Path) -> Iterator[None]:
    """No other command submits runs of this study meanwhile."""
    of_study.mkdir(parents=True, exist_ok=True)
    with lock.locked(
        of_study / f".{FILE}.lock", waiting=lambda: print("another command is submitting: waiting for it")
    ):
        yield


def see(of_study: Path) -> str:
    """The command that says how far a study's runs are."""
    where = f" runs_dir={of_study.parent}" if str(of_study.parent) != "runs" else ""
    return f"ablations status study={of_study.name}{where}"
