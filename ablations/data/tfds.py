"""TensorFlow Datasets' own place and format, written without TensorFlow.

The stock builder needs TensorFlow to unpack an archive and to encode images; here both are done for it. The result is
the same: the stock `tfds.data_source("cifar10")` reads it.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.system.files import expanded, why
from ablations.system.lock import locked
from ablations.terminal.output import tell

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def once(config: DataConfig, name: str, make: Callable[[Path], Path]) -> Path:
    """The prepared folder of this name; if there is none, `make(folder)` builds it below a temporary folder.

    The temporary folder lies beside the final one and is then renamed: there is a whole data set or none. A second
    process waits for the first. What a killed process (SIGKILL) leaves behind, the next one removes.
    """
    root = data_dir(config)
    try:
        root.mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            tell(f"{config.name}: another process is preparing it in {root}: waiting")

        with _stopping_at_signals(), locked(root / f".{name}.ablations.lock", waiting):
            if folder := find(config, name):
                return folder
            for leftover in root.glob(f".{name}.ablations-*"):
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=f".{name}.ablations-", dir=root) as temporary:
                built = make(Path(temporary))
                return _move(built, root / name / built.name)
    except OSError as error:
        if error.filename is not None and not Path(os.fsdecode(error.filename)).is_relative_to(root):
            raise UserError(why(error)) from error  # of what it is made from
        where, reason = error.filename or root, error.strerror or error
        raise UserError(
            f"{where}: cannot be written to: {reason}; choose another folder with data.data_dir=..."
        ) from error


def data_source(folder: Path, split: str, encoded: tuple[str, ...] = ("image",)):
    """The records of a prepared data set, by number; what is `encoded` in them stays so."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder_from_directory(folder)
    decoders = {name: tensorflow_datasets.decode.SkipDecoding() for name in encoded}
    return builder.as_data_source(split, decoders=decoders)  # pyright: ignore[reportCallIssue]  # a decorator hides them


def write(builder_class, folder: Path) -> Path:
    """Run a builder of TensorFlow Datasets; returns FOLDER/NAME/VERSION."""
    builder = builder_class(data_dir=folder, file_format="array_record")
    try:
        # It prints the temporary folder, not the final one.
        with _shuffled_without_tensorflow(), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=folder / "download")
    except RuntimeError as error:  # raised by the writer when the disk is full
        raise OSError(str(error).split(";")[0]) from error
    return Path(builder.data_dir)


@contextlib.contextmanager
def _shuffled_without_tensorflow() -> Iterator[None]:
    """Let TensorFlow Datasets use Python's files, not TensorFlow's, to sort what exceeds its 1,000 MiB of memory."""
    from tensorflow_datasets.core import shuffle

    files = SimpleNamespace(GFile=open, exists=os.path.exists, remove=os.remove)
    # It catches TensorFlow's "too many open files" by this name; Python's own error passes through.
    errors = SimpleNamespace(ResourceExhaustedError=shuffle.DuplicatedKeysError)
    theirs, shuffle.tf = shuffle.tf, SimpleNamespace(io=SimpleNamespace(gfile=files), errors=errors)
    try:
        yield
    finally:
        shuffle.tf = theirs


def _move(built: Path, folder: Path) -> Path:
    for path in built.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    folder.parent.mkdir(exist_ok=True)
    try:
        built.rename(folder)
    except OSError as error:
        if folder.exists():
            raise UserError(
                f"{folder}: expected nothing or a prepared data set, found something else; remove it"
            ) from error
        raise
    return folder


@contextlib.contextmanager
def _stopping_at_signals() -> Iterator[None]:
    """Make signals that would end the process at once end it as Ctrl-C does, after cleaning up."""

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


def data_dir(config: DataConfig) -> Path:
    """Where prepared data sets are kept: `data.data_dir`, or TensorFlow Datasets' own choice."""
    return expanded(config.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def find(config: DataConfig, name: str | None = None) -> Path | None:
    """The folder of the newest prepared version, None if there is none; name: the one that TensorFlow Datasets uses.

    Raises UserError if it is prepared in a format that only TensorFlow can read, or if it may not be read.
    """
    folder, versions, other = data_dir(config) / (name or config.name), [], None
    for version in _names(folder):
        try:
            number = tuple(int(part) for part in version.split("."))
            content = json.loads((folder / version / "dataset_info.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        except OSError as error:
            other = why(error)
            continue
        if content.get("fileFormat") == "array_record":
            versions.append((number, folder / version))
        else:
            other = f"{folder / version}: expected {config.name} as array_record, found {content.get('fileFormat')}"
    if not versions and other:
        raise UserError(f"{other}; choose another folder with data.data_dir=...")
    return max(versions)[1] if versions else None


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.count(".") >= 2]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{why(error)}; choose another folder with data.data_dir=...") from error
