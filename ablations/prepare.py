"""Preparing data sets for TensorFlow Datasets without TensorFlow, in its own place and format; CIFAR.

The stock builder needs TensorFlow to unpack the archive and to encode images; here it is given both done. What
it writes is what it would have written: stock `tfds.data_source("cifar10")` reads it.
"""

import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ablations import cifar, prepared
from ablations.bar import bar
from ablations.cifar_published import CIFARS, CLASS_NAMES, URL
from ablations.data import DataConfig
from ablations.download import download as download_file
from ablations.errors import UserError
from ablations.lock import locked

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """Prepare CIFAR from `archive_dir`, or else from the network, and return the folder.

    Raises UserError with what to type where there is no archive and `download` is false.
    """
    if not config.archive_dir and not download:
        raise UserError(_missing(config))
    return once(config, config.name, lambda folder: build(config.name, _read(config, folder), folder))


def once(config: DataConfig, name: str, make: Callable[[Path], Path]) -> Path:
    """The prepared folder of this name, which `make` makes in the folder that it is given where there is none.

    Everything happens in a folder beside the final one, which then gets its name: there is a whole data set or
    none. A second process waits for the first. What a process leaves that was killed (SIGKILL), the next removes.
    """
    root = prepared.data_dir(config)
    try:
        root.mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            _say(f"{config.name}: another process is preparing it in {root}: waiting")

        with _stopping_at_signals(), locked(root / f".{name}.ablations.lock", waiting):
            if place := prepared.find(config, name):
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


def _missing(config: DataConfig) -> str:
    return (
        f"data={config.name} is not prepared in {prepared.data_dir(config)}. With a network: {_command(config)}. "
        f"Without one: {_without_network(config)}"
    )


def _without_network(config: DataConfig) -> str:
    archive = CIFARS[config.name].archive
    return f"fetch {URL}{archive} elsewhere, then {_command(config)} data.archive_dir=FOLDER, the folder that it is in"


def _command(config: DataConfig) -> str:
    place = f" data.data_dir={config.data_dir}" if config.data_dir else ""
    return f"ablations data prepare data={config.name}{place}"


def _read(config: DataConfig, temporary: Path) -> cifar.Splits:
    name, root = config.name, prepared.data_dir(config)
    if config.archive_dir:
        folder = Path(config.archive_dir).expanduser()
        try:
            path = cifar.find(name, folder)
        except OSError as error:
            raise UserError(f"{folder}: cannot be read: {error.strerror}") from error
        _say(f"{name}: reading {path}, to be kept in {root}")
    else:
        _say(f"{name}: downloading {URL}{CIFARS[name].archive}, to be kept in {root}")
        try:
            with bar(f"{name}: download", CIFARS[name].archive_bytes, "bytes") as progress:
                downloaded = download_file(URL + CIFARS[name].archive, temporary / "download", progress)
        except UserError as error:
            raise UserError(f"{error}. Without a network: {_without_network(config)}") from error
        path = downloaded.rename(temporary / CIFARS[name].archive)
    splits, note = cifar.read(name, path, verify=config.verify)
    _say(f"{name}: {note}")
    return splits


def build(name: str, splits: cifar.Splits, folder: Path) -> Path:
    """Write a data set as TensorFlow Datasets does, read it back, and return FOLDER/NAME/VERSION."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    total = sum(len(part.images) for part in splits.values())
    with bar(f"{name}: prepare", total, "images") as progress:
        place = write(_builder_class(name, splits, progress), folder)
    written = prepared.decode(name, place)
    for split, part in splits.items():
        same = np.array_equal(written[split].images, part.images)
        if not same or any((written[split].labels[label] != part.labels[label]).any() for label in part.labels):
            raise UserError(f"{place}: what was written is not what is read again: this disk or memory is damaged")
    prepared.keep(place, splits, cifar.difference(name, splits))
    return place


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


def _builder_class(name: str, splits: cifar.Splits, progress):
    import tensorflow_datasets as tfds

    stock = tfds.builder_cls(name)
    with tfds.core.registered.skip_registration():

        class Builder(stock):
            def _split_generators(self, dl_manager):
                for label in CIFARS[name].classes:
                    self.info.features[label].names = CLASS_NAMES[name, label].split()
                return {split: self._generate_examples(split, part) for split, part in splits.items()}

            def _generate_examples(self, split, part):
                before = len(splits["train"].images) if split == "test" else 0
                for i, image in enumerate(part.images):
                    labels = {label: int(of[i]) for label, of in part.labels.items()}
                    yield i, labels | {"id": f"{split}_{i:05}", "image": png(image)}
                    progress(before + i + 1)

    Builder.name = name
    return Builder


def png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8, encoded without loss."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
