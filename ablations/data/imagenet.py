"""ImageNet (ILSVRC 2012) from the two official archives, through TensorFlow Datasets' imagenet2012 without TensorFlow.

ILSVRC2012_img_train.tar is an archive of one archive a class, n01440764.tar and so on, with that class's JPEG files;
ILSVRC2012_img_val.tar holds ILSVRC2012_val_00000001.JPEG and so on, whose classes TensorFlow Datasets knows.
What is written is what its own builder would write: stock `tfds.data_source("imagenet2012")` reads it.
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
from zipfile import BadZipFile

import numpy as np

from ablations.data import loader
from ablations.data import tfds as prepared
from ablations.data.config import DATASETS, DataConfig
from ablations.data.dataset import Dataset
from ablations.data.encoded import Encoded
from ablations.errors import UserError
from ablations.system import files as entry
from ablations.system.files import write_whole
from ablations.terminal.bar import bar
from ablations.terminal.units import size

NAME = "imagenet2012"

MANUAL = "downloads/manual"  # in TensorFlow Datasets' own place, where it looks for archives that nobody may pass on

URL = "https://image-net.org/download-images"

SPLITS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}

ARCHIVE_BYTES = {"train": 147_897_477_120, "validation": 6_744_924_160}  # of the published files

DISK = 1.1  # bytes needed for each one of the archives: they are sorted on disk, then written

LABELS = "ablations_labels.npz"  # beside the records, as the labels in them cannot be had without their images

OPEN_FILES = 8192  # at most: the reader keeps one open a shard, of which there are 1,088; 1,000 while they are sorted


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder of the prepared data set, which is prepared from the archives where it is not.

    Raises UserError where an archive is missing or not the published one, or where the disk is too small.
    """
    loader.check()
    if place := prepared.find(config, NAME):
        return place
    archives = _archives(config)
    _check_disk(config, archives)
    return prepared.once(config, NAME, lambda folder: _build(archives, folder))


def _archives(config: DataConfig) -> dict[str, Path]:
    root = prepared.data_dir(config)
    folder = Path(config.archive_dir).expanduser() if config.archive_dir else root / MANUAL
    archives = {split: folder / name for split, name in SPLITS.items()}
    if missing := [path.name for path in archives.values() if not path.is_file()]:
        raise UserError(
            f"data=imagenet is not prepared in {root}, and {folder} has no {' and no '.join(missing)}. Fetch "
            f"{' and '.join(missing)} from {URL} (after registration) into that folder, or say where it is: ablations "
            "data prepare data=imagenet data.archive_dir=FOLDER"
        )
    for split, path in archives.items():
        if not os.access(path, os.R_OK):
            raise UserError(f"{path}: cannot be read: Permission denied")
        if config.verify and (found := path.stat().st_size) != ARCHIVE_BYTES[split]:
            raise UserError(
                f"{path}: expected {ARCHIVE_BYTES[split]:,} bytes, found {found:,}: it is cut short or not the published "
                "archive. Fetch it again, or use it all the same: data.verify=false"
            )
    return archives


def _check_disk(config: DataConfig, archives: dict[str, Path]) -> None:
    root = prepared.data_dir(config)
    there = next(place for place in (root, *root.parents) if place.is_dir())
    needed, free = DISK * sum(path.stat().st_size for path in archives.values()), shutil.disk_usage(there).free
    if free < needed:
        raise UserError(
            f"{root}: preparing data=imagenet takes {size(needed)} of disk, {size(free)} are free; make room, or choose "
            "another place with data.data_dir=..."
        )


def _build(archives: dict[str, Path], folder: Path) -> Path:
    total = sum(path.stat().st_size for path in archives.values())
    _allow_open_files()
    try:
        with bar("imagenet: prepare", total, "bytes") as progress:
            place = prepared.write(_builder_class(archives, progress), folder)
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise UserError(
            f"{archives['train'].parent}: an archive is damaged or not the official one: {error}; fetch it again"
        ) from error
    _labels(place)
    return place


def _builder_class(archives: dict[str, Path], progress):
    import tensorflow_datasets as tfds

    stock = tfds.builder_cls(NAME)
    of_stock = sys.modules[stock.__module__]
    not_rgb = {*of_stock.CMYK_IMAGES, *of_stock.PNG_IMAGES}
    read = 0

    def example(name: str, image: bytes, label: str):
        nonlocal read
        read += len(image)
        progress(read)
        return name, {"file_name": name, "image": _as_rgb(image) if name in not_rgb else image, "label": label}

    with tfds.core.registered.skip_registration():

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
                        with tarfile.open(fileobj=file, mode="r:") as of_class:
                            for image_name, image in _files(of_class):
                                yield example(image_name, image.read(), name.removesuffix(".tar"))

    Builder.name = NAME
    return Builder


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, io.BufferedReader]]:
    for member in archive:
        if member.isfile():
            yield Path(member.name).name, archive.extractfile(member)


def _validation_labels() -> dict[str, str]:
    """Image name -> class, as n01440764; the published list is in the order of the numbers in the names."""
    import tensorflow_datasets as tfds

    labels = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split()
    return {f"ILSVRC2012_val_{number:08}.JPEG": label for number, label in enumerate(labels, 1)}


def _as_rgb(image: bytes) -> bytes:
    """A file in other colours or another format, as a JPEG file in RGB."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(file, "JPEG", quality=100)
    return file.getvalue()


@dataclass(frozen=True)
class Records:
    """The records of a split: an `encoded.Source`."""

    place: Path
    split: str

    def read(self, number: int) -> bytes:
        return _opened(self.place, self.split)[int(number)]["image"]

    def name(self, number: int) -> str:
        return f"{self.place}: {_opened(self.place, self.split)[int(number)]['file_name'].decode()}"

    def stamp(self, number: int) -> str:
        return f"{_stamp(self.place)} {self.split} {number}"


@lru_cache(maxsize=4)
def _opened(place: Path, split: str):
    import tensorflow_datasets as tfds

    _allow_open_files()  # here, as each worker opens them anew
    builder = tfds.builder_from_directory(place)
    return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def _allow_open_files() -> None:
    """Raise this process's own limit of open files, 1,024 on most machines, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def load(config: DataConfig) -> Dataset:
    """All records.

    Raises UserError where there are none, they cannot be read, or they are not as many as published (unless verify is
    false).
    """
    place = prepare(config)
    labels, kind = _labels(place), DATASETS["imagenet"]
    for split, published in (("train", kind.train), ("validation", kind.test)):
        if config.verify and len(labels[split]) != published:
            raise UserError(
                f"{place}: expected {published:,} images in {split}, found {len(labels[split]):,}: this is not the "
                "published ImageNet. Remove this folder and prepare it anew, or use it all the same: data.verify=false"
            )
    images = {split: Encoded(Records(place, split), np.arange(len(of)), config.crop) for split, of in labels.items()}
    parts = [part for split in SPLITS for part in (images[split], labels[split])]
    return Dataset("imagenet", kind.classes, *parts, streamed=True)


def _labels(place: Path) -> dict[str, np.ndarray]:
    """Of each split, (N,) int32, in the order of the records; read from them once, and kept."""
    stamp = _stamp(place)
    copies = place / LABELS, entry.cache() / "labels" / f"{stamp[:32]}.npz"
    damage = OSError, EOFError, ValueError, KeyError, BadZipFile
    for copy in copies:
        with contextlib.suppress(*damage), open(copy, "rb") as file, np.load(file) as kept:
            if str(kept["stamp"]) == stamp:
                return {split: kept[split] for split in SPLITS}
    labels = {}
    for split in SPLITS:
        try:
            records = _opened(place, split)
            with bar(f"imagenet: labels of {split}", len(records), "images") as progress:
                found = np.empty(len(records), np.int32)
                for number in range(len(records)):
                    found[number] = records[number]["label"]
                    progress(number + 1)
        except Exception as error:  # the reader's errors have no common class
            reason = str(error).split("\n")[0] or repr(error)
            raise UserError(
                f"{place}: {split} cannot be read: {reason}. Remove this folder and prepare it anew: ablations data "
                "prepare data=imagenet"
            ) from error
        labels[split] = found
    file = io.BytesIO()
    np.savez(file, stamp=np.array(stamp), **labels)
    for copy in copies:  # the second where the records are another's, or on a disk that cannot be written to
        with contextlib.suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, file.getbuffer())
            break
    return labels


@lru_cache(maxsize=4)  # of a thousand files, and asked for once an image
def _stamp(place: Path) -> str:
    files = sorted((path.name, path.stat().st_size) for path in place.glob("*.array_record*"))
    return hashlib.sha256(repr(files).encode()).hexdigest()
