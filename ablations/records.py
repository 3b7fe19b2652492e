"""What a run leaves on disk: `record.json`, written whole or not at all, and `metrics.jsonl`.

These files are the source of truth of every table. Reading them needs the standard library only.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from ablations.config import from_resolved
from ablations.errors import UserError

SCHEMA_VERSION = 1
FAILURE = "failure.txt"  # why the last try of a run ended without a record; the last line says it
FAIL_PERCENT = 20.0  # a final test error above this is a "fail" in the paper's Table 1


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def give_out(text: str, out: str | Path | None, note: str = "") -> None:
    """What a command makes: printed, or written to `out`, which is then said with the note.

    Raises UserError where it cannot be written.
    """
    if not out:
        print(text, end="")
        return
    try:
        write_whole(Path(out), text)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}{note}")


def write_record(folder: Path, record: dict) -> None:
    write_whole(folder / "record.json", json.dumps({"schema_version": SCHEMA_VERSION} | record, indent=2) + "\n")


def read_record(folder: Path) -> dict | None:
    """The record of a finished run, None where there is none or none that can be read."""
    try:
        record = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        return None
    try:  # settings that are younger than the record have their defaults in it
        return record | {"config": from_resolved(record["config"]).resolved()}
    except (KeyError, TypeError, ValueError):
        return None


def read_records(runs_dir: Path, study: str) -> list[dict]:
    """All finished runs of a study, in the order of their folders, each with its `folder`."""
    folders = [path.parent for path in sorted((runs_dir / study).glob("*/seed=*/record.json"))]
    records = [(folder, read_record(folder)) for folder in folders]
    return [record | {"folder": folder} for folder, record in records if record]


def read_metrics(folder: Path) -> list[dict]:
    """The evaluations of a run so far; a last line that was cut short is left out."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def finished(folder: Path) -> tuple[dict, Path]:
    """The record and the weights file of a finished run; raises UserError where one of them is not there."""
    record, path = read_record(folder), folder / "weights.safetensors"
    if record is None:
        raise UserError(f"run={folder}: there is no finished run in this folder")
    if not path.is_file():
        raise UserError(f"run={folder}: its weights.safetensors is gone; ablations train ... force=true makes it anew")
    return record, path


def first_difference(one, other, at: str = "") -> tuple:
    """Where two nested configurations first differ, as a dotted key, and the two values there."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return at, one, other
    key = next(key for key in one | other if one.get(key) != other.get(key))
    return first_difference(one.get(key), other.get(key), f"{at}.{key}" if at else key)


def failed(record: dict) -> bool:
    """Whether the paper's tables would print "fail": above 20 %, or diverged."""
    return record["status"] == "diverged" or record["test_error_percent"] > FAIL_PERCENT


def provenance() -> dict:
    """What a figure must name: package versions, machine, commit."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": versions(),
        "device": f"{device.platform}: {processor() if device.platform == 'cpu' else device.device_kind}",
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that decide a result."""
    names = ("ablations", "jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def processor() -> str:
    """The model of the processor and the number of its cores."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def commit() -> str:
    """The commit of the source that runs, with "+" where it has uncommitted changes; "unknown" outside git."""

    def git(*arguments):
        here = Path(__file__).parent
        return subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True, check=True).stdout

    try:
        if "ablations/records.py" not in git("ls-files", "--full-name", "records.py"):
            return "unknown"
        changes = git("status", "--porcelain", "--untracked-files=no", ":/ablations", ":/conf")
        return git("rev-parse", "HEAD").strip() + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def command() -> str:
    """The command line, as typed."""
    return " ".join(["ablations", *sys.argv[1:]])
