"""TensorFlow Datasets' own place and format, written without TensorFlow.

The stock builder needs TensorFlow to unpack an archive and to encode images; here it is given both done. What it writes is
what it would have written: stock `tfds.data_source("cifar10")` reads it.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.system.lock import locked

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def once(config: DataConfig, name: str, make: Callable[[Path], Path]) -> Path:
    """The prepared folder of this name, which `make` makes in the folder that it is given where there is none.

    Everything happens in a folder beside the final one, which then gets its name: there is a whole data set or
    none. A second process waits for the first. What a process leaves that was killed (SIGKILL), the next removes.
    """
    root = data_dir(config)
    try:
        root.mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            say(f"{config.name}: another process is preparing it in {root}: waiting")

        with _stopping_at_signals(), locked(root / f".{name}.ablations.lock", waiting):
            if place := find(config, name):
                return place
            for left in root.glob(f".{name}.ablations-*"):
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=f".{name}.ablations-", dir=root) as temporary:
                built = make(Path(temporary))
                return _move(built, root / name / built.name)
    except OSError as error:
        raise UserError(
            f"{root}: cannot be written to: {error}; choose another place with data.data_dir=..."
        ) from error


def write(builder_class, folder: Path) -> Path:
    """Let a builder of TensorFlow Datasets write its data set; returns FOLDER/NAME/VERSION."""
    builder = builder_class(data_dir=folder, file_format="array_record")
    try:
        # It announces a place that is not the final one.
        with _shuffled_without_tensorflow(), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=folder / "download")
    except RuntimeError as error:  # of the writer, when the disk is full
        raise OSError(str(error).split(";")[0]) from error
    return Path(builder.data_dir)


@contextlib.contextmanager
def _shuffled_without_tensorflow() -> Iterator[None]:
    """Let TensorFlow Datasets sort through files of Python's what does not fit in its memory, which is 1,000 MiB."""
    from tensorflow_datasets.core import shuffle

    files = SimpleNamespace(GFile=open, exists=os.path.exists, remove=os.remove)
    # Its name for "too many open files", as which Python's own error is not caught.
    errors = SimpleNamespace(ResourceExhaustedError=shuffle.DuplicatedKeysError)
    theirs, shuffle.tf = shuffle.tf, SimpleNamespace(io=SimpleNamespace(gfile=files), errors=errors)
    try:
        yield
    finally:
        shuffle.tf = theirs


def _move(built: Path, place: Path) -> Path:
    for path in built.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    place.parent.mkdir(exist_ok=True)
    try:
        built.rename(place)
    except OSError as error:
        if place.exists():
            raise UserError(
                f"{place}: expected nothing or a prepared data set, found something else; remove it"
            ) from error
        raise
    return place


@contextlib.contextmanager
def _stopping_at_signals() -> Iterator[None]:
    """Let a signal that would end the process at once end it as Ctrl-C does: cleaning up."""

    def stop(number, _frame):
        raise SystemExit(128 + number)

    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def data_dir(config: DataConfig) -> Path:
    """Where TensorFlow Datasets keeps what it has prepared, unless the user has said another place."""
    place = config.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(place).expanduser()


def find(config: DataConfig, name: str | None = None) -> Path | None:
    """The folder of the newest prepared version, None where there is none; name: by which TensorFlow Datasets knows it.

    Raises UserError where it is prepared in a format that takes TensorFlow to read.
    """
    found, other = [], None
    for info in (data_dir(config) / (name or config.name)).glob("*.*.*/dataset_info.json"):
        try:
            version = tuple(int(part) for part in info.parent.name.split("."))
            content = json.loads(info.read_text())
        except (OSError, ValueError):
            continue
        if content.get("fileFormat") == "array_record":
            found.append((version, info.parent))
        else:
            other = f"{info.parent}: expected {config.name} as array_record, found {content.get('fileFormat')}"
    if not found and other:
        raise UserError(f"{other}; choose another place with data.data_dir=...")
    return max(found)[1] if found else None
