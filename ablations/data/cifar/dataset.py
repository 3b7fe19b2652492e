"""CIFAR-10 and CIFAR-100: prepared where TensorFlow Datasets keeps its data sets, then read from there."""

from pathlib import Path

import numpy as np

from ablations.data.cifar import official
from ablations.data.cifar.published import CIFARS, URL
from ablations.data.cifar.records import build, cached
from ablations.data.config import DataConfig
from ablations.data.dataset import Dataset
from ablations.data.download import download as download_file
from ablations.data.tfds import data_dir, find, once
from ablations.errors import UserError
from ablations.system.files import expanded
from ablations.terminal.bar import bar
from ablations.terminal.output import tell


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder of the prepared data set, prepared now if it is not: from `archive_dir`, else from the network.

    Raises UserError, with what to type, if that needs the network and `download` is false.
    """
    if folder := find(config):
        return folder
    if not config.archive_dir and not download:
        raise UserError(_missing(config))
    return once(config, config.name, lambda folder: build(config.name, _read(config, folder), folder))


def load(config: DataConfig) -> Dataset:
    """All images and labels, in the published order.

    Raises UserError if there are none or, unless verify is false, if they are not the published ones.
    """
    folder = prepare(config)
    splits, wrong = cached(config.name, folder)
    if config.verify and wrong:
        raise UserError(
            f"{folder}: {wrong}: this is not the published {CIFARS[config.name].title}. Remove this folder and prepare "
            f"it anew (ablations data prepare data={config.name}), or use it anyway: data.verify=false"
        )
    train, test = splits["train"], splits["test"]
    train_labels, test_labels = (part.labels["label"].astype(np.int32) for part in (train, test))
    classes = CIFARS[config.name].classes["label"]
    return Dataset(config.name, classes, train.images, train_labels, test.images, test_labels)


def _missing(config: DataConfig) -> str:
    return (
        f"data={config.name} is not prepared in {data_dir(config)}. With a network: {_command(config)}. "
        f"Without one: {_without_network(config)}"
    )


def _without_network(config: DataConfig) -> str:
    archive = CIFARS[config.name].archive
    return f"fetch {URL}{archive} elsewhere, then {_command(config)} data.archive_dir=FOLDER, the folder that it is in"


def _command(config: DataConfig) -> str:
    folder = f" data.data_dir={config.data_dir}" if config.data_dir else ""
    return f"ablations data prepare data={config.name}{folder}"


def _read(config: DataConfig, temporary: Path) -> official.Splits:
    name, root = config.name, data_dir(config)
    if config.archive_dir:
        folder = expanded(config.archive_dir)
        try:
            path = official.find(name, folder)
        except OSError as error:
            raise UserError(f"{folder}: cannot be read: {error.strerror}") from error
        tell(f"{name}: reading {path}, to be kept in {root}")
    else:
        tell(f"{name}: downloading {URL}{CIFARS[name].archive}, to be kept in {root}")
        try:
            with bar(f"{name}: download", CIFARS[name].archive_bytes, "bytes") as progress:
                downloaded = download_file(URL + CIFARS[name].archive, temporary / "download", progress)
        except UserError as error:
            raise UserError(f"{error}. Without a network: {_without_network(config)}") from error
        path = downloaded.rename(temporary / CIFARS[name].archive)
    splits, note = official.read(name, path, verify=config.verify)
    tell(f"{name}: {note}")
    return splits
