"""ImageNet (ILSVRC 2012) from its two official archives, in TensorFlow Datasets' format and without TensorFlow.

ILSVRC2012_img_train.tar holds one archive for each class, n01440764.tar and so on, with that class's JPEG files;
ILSVRC2012_img_val.tar holds ILSVRC2012_val_00000001.JPEG and so on, whose classes TensorFlow Datasets knows.
The result is what its own builder would write: the stock `tfds.data_source("imagenet2012")` reads it.
"""

import contextlib
import hashlib
import io
import os
import resource
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np

from ablations.data import loader, tfds
from ablations.data.config import DATASETS, DataConfig
from ablations.data.dataset import Dataset
from ablations.data.encoded import Encoded
from ablations.errors import UserError
from ablations.system.files import cache, expanded, write_whole
from ablations.terminal.bar import bar
from ablations.terminal.units import size

NAME = "imagenet2012"
MANUAL = "downloads/manual"  # where TensorFlow Datasets looks for archives that nobody may redistribute
URL = "https://image-net.org/download-images"
SPLITS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
ARCHIVE_BYTES = {"train": 147_897_477_120, "validation": 6_744_924_160}  # of the published archives
DISK = 1.1  # bytes of disk for each byte of the archives: images are sorted on disk, then written
LABELS = "ablations_labels.npz"  # beside the records, whose labels cannot be read without their images
OPEN_FILES = 8192  # the reader keeps all 1,088 shards open, the writer 1,000 while it sorts


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder of the prepared data set, prepared now from the archives if it is not.

    Raises UserError if an archive is missing or not the published one, or if the disk is too small.
    """
    loader.check()
    if folder := tfds.find(config, NAME):
        return folder
    archives = _archives(config)
    _check_disk(config, archives)
    return tfds.once(config, NAME, lambda folder: _build(archives, folder))


def _archives(config: DataConfig) -> dict[str, Path]:
    root = tfds.data_dir(config)
    folder = expanded(config.archive_dir) if config.archive_dir else root / MANUAL
    archives = {split: folder / name for split, name in SPLITS.items()}
    if missing := [path.name for path in archives.values() if not path.is_file()]:
        raise UserError(
            f"data=imagenet is not prepared in {root}, and {folder} has no {' and no '.join(missing)}. Fetch "
            f"{' and '.join(missing)} from {URL} (after registration) into that folder, or name the folder: ablations "
            "data prepare data=imagenet data.archive_dir=FOLDER"
        )
    for split, path in archives.items():
        if not os.access(path, os.R_OK):
            raise UserError(f"{path}: cannot be read: Permission denied")
        if config.verify and (actual := path.stat().st_size) != ARCHIVE_BYTES[split]:
            raise UserError(
                f"{path}: expected {ARCHIVE_BYTES[split]:,} bytes, found {actual:,}: it is cut short or not the published "
                "archive. Fetch it again, or use it anyway: data.verify=false"
            )
    return archives


def _check_disk(config: DataConfig, archives: dict[str, Path]) -> None:
    root = tfds.data_dir(config)
    existing = next(folder for folder in (root, *root.parents) if folder.is_dir())
    needed, free = DISK * sum(path.stat().st_size for path in archives.values()), shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{root}: preparing data=imagenet takes {size(needed)} of disk, {size(free)} are free; make room, or choose "
            "another folder with data.data_dir=..."
        )


def _build(archives: dict[str, Path], folder: Path) -> Path:
    total = sum(path.stat().st_size for path in archives.values())
    _allow_open_files()
    try:
        with bar("imagenet: prepare", total, "bytes") as progress:
            written = tfds.write(_builder_class(archives, progress), folder)
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise UserError(
            f"{archives['train'].parent}: an archive is damaged or not the official one: {error}; fetch it again"
        ) from error
    _labels(written)
    return written


def _builder_class(archives: dict[str, Path], progress):
    import tensorflow_datasets
    from tensorflow_datasets.core import registered

    stock = tensorflow_datasets.builder_cls(NAME)
    module = sys.modules[stock.__module__]
    not_rgb = {*module.CMYK_IMAGES, *module.PNG_IMAGES}
    read = 0

    def example(name: str, image: bytes, label: str):
        nonlocal read
        read += len(image)
        progress(read)
        return name, {"file_name": name, "image": _as_rgb(image) if name in not_rgb else image, "label": label}

    with registered.skip_registration():

        class Builder(stock):
            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(split, path) for split, path in archives.items()}

            def _generate_examples(self, split, path):
                labels = _validation_labels() if split == "validation" else {}
                with tarfile.open(path, "r:") as archive:
                    for name, file in _files(archive):
                        if split == "validation":
                            yield example(name, file.read(), labels[name])
                            continue
                        with tarfile.open(fileobj=file, mode="r:") as images:
                            for image_name, image in _files(images):
                                yield example(image_name, image.read(), name.removesuffix(".tar"))

    Builder.name = NAME
    return Builder


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        if member.isfile() and (file := archive.extractfile(member)) is not None:
            yield Path(member.name).name, file


def _validation_labels() -> dict[str, str]:
    """Image name -> class, such as n01440764; the published list follows the numbers in the names."""
    import tensorflow_datasets

    labels = tensorflow_datasets.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split()
    return {f"ILSVRC2012_val_{number:08}.JPEG": label for number, label in enumerate(labels, 1)}


def _as_rgb(image: bytes) -> bytes:
    """Convert a CMYK or PNG file into a JPEG file in RGB."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(file, "JPEG", quality=100)
    return file.getvalue()


@dataclass(frozen=True)
class Records:
    """The records of a split: an `encoded.Source`."""

    folder: Path
    split: str

    def read(self, number: int) -> bytes:
        return _opened(self.folder, self.split)[int(number)]["image"]

    def name(self, number: int) -> str:
        return f"{self.folder}: {_opened(self.folder, self.split)[int(number)]['file_name'].decode()}"

    def stamp(self, number: int) -> str:
        return f"{_stamp(self.folder)} {self.split} {number}"


@lru_cache(maxsize=4)
def _opened(folder: Path, split: str):
    _allow_open_files()  # here, since each worker opens them again
    return tfds.data_source(folder, split)


def _allow_open_files() -> None:
    """Raise this process's limit of open files, 1,024 on most machines, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def load(config: DataConfig) -> Dataset:
    """All records.

    Raises UserError if there are none, if they cannot be read or, unless verify is false, if their number is not the
    published one.
    """
    folder = prepare(config)
    labels, kind = _labels(folder), DATASETS["imagenet"]
    for split, published in (("train", kind.train), ("validation", kind.test)):
        if config.verify and len(labels[split]) != published:
            raise UserError(
                f"{folder}: expected {published:,} images in {split}, found {len(labels[split]):,}: this is not the "
                "published ImageNet. Remove this folder and prepare it anew, or use it anyway: data.verify=false"
            )
    train, test = (  # as stored: published errors are of images that no EXIF data have turned
        Encoded(Records(folder, split), np.arange(len(labels[split])), config.crop_pixels, upright=False)
        for split in SPLITS
    )
    train_labels, test_labels = (labels[split] for split in SPLITS)
    return Dataset("imagenet", kind.classes, train, train_labels, test, test_labels, streamed=True)


def _labels(folder: Path) -> dict[str, np.ndarray]:
    """The labels of each split, (N,) int32, in the order of the records; read from them once, then kept in a file."""
    stamp = _stamp(folder)
    copies = folder / LABELS, cache() / "labels" / f"{stamp[:32]}.npz"
    damage = OSError, EOFError, ValueError, KeyError, BadZipFile
    for copy in copies:
        with contextlib.suppress(*damage), open(copy, "rb") as file, np.load(file) as kept:
            if str(kept["stamp"]) == stamp:
                return {split: kept[split] for split in SPLITS}
    labels = {}
    for split in SPLITS:
        try:
            records = _opened(folder, split)
            with bar(f"imagenet: labels of {split}", len(records), "images") as progress:
                labels[split] = np.empty(len(records), np.int32)
                for number in range(len(records)):
                    labels[split][number] = records[number]["label"]
                    progress(number + 1)
        except Exception as error:  # the reader's errors have no common class
            reason = str(error).split("\n")[0] or repr(error)
            raise UserError(
                f"{folder}: {split} cannot be read: {reason}. Remove this folder and prepare it anew: ablations data "
                "prepare data=imagenet"
            ) from error
    file = io.BytesIO()
    np.savez(file, stamp=np.array(stamp), **labels)
    for copy in copies:  # the second if the records lie where we may not write
        with contextlib.suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, file.getbuffer())
            break
    return labels


@lru_cache(maxsize=4)  # a thousand files, and called once for each image
def _stamp(folder: Path) -> str:
    files = sorted((path.name, path.stat().st_size) for path in folder.glob("*.array_record*"))
    return hashlib.sha256(repr(files).encode()).hexdigest()
