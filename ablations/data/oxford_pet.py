"""Oxford-IIIT Pet (Parkhi et al. 2012): photographs of cats and dogs with trimaps of pet, background and border.

Prepared where TensorFlow Datasets keeps it as oxford_iiit_pet, from the two official archives and without TensorFlow, then
read from there. Images and trimaps are squares of data.crop pixels in memory: 240 MB at 128.
"""

import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

import numpy as np

from ablations.data import masks, tfds
from ablations.data.config import DATASETS, DataConfig
from ablations.data.dataset import Dataset
from ablations.data.download import download as download_file
from ablations.errors import UserError
from ablations.system.files import expanded
from ablations.terminal.bar import bar
from ablations.terminal.output import tell

NAME = "oxford_iiit_pet"
URL = "https://thor.robots.ox.ac.uk/~vgg/data/pets/"
ARCHIVES = {  # bytes and SHA-256, from TensorFlow Datasets' checksums.tsv
    "images.tar.gz": (791_918_971, "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"),
    "annotations.tar.gz": (19_173_078, "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"),
}
LISTS = {"train": "trainval.txt", "test": "test.txt"}
VALUES = (2, 1, 3)  # of a trimap's pixels: background, pet, border; here the background is class 0


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder of the prepared data set, prepared now if it is not: from `archive_dir`, else from the network.

    Raises UserError, with what to type, if that needs the network and `download` is false.
    """
    if folder := tfds.find(config, NAME):
        return folder
    command = "ablations data prepare data=oxford_pet"
    without = f"fetch {' and '.join(URL + name for name in ARCHIVES)} elsewhere, then {command} data.archive_dir=FOLDER"
    if not config.archive_dir and not download:
        root = tfds.data_dir(config)
        raise UserError(f"data=oxford_pet is not prepared in {root}. With a network: {command}. Without one: {without}")
    return tfds.once(config, NAME, lambda folder: _build(config, folder, without))


def load(config: DataConfig) -> Dataset:
    """All images with their trimaps, in the order of their names. Raises UserError if there are none or they are damaged."""
    folder, arrays = prepare(config), []
    for split in LISTS:
        try:
            arrays += _decoded(config, folder, split)
        except Exception as error:  # the reader's errors have no common class
            reason = str(error).split("\n")[0] or repr(error)
            raise UserError(
                f"{folder}: the {split} split cannot be read: {reason}. Remove this folder and prepare it anew: ablations "
                "data prepare data=oxford_pet"
            ) from error
    known = DATASETS[config.name]
    if config.verify and (len(arrays[0]), len(arrays[2])) != (known.train, known.test):
        raise UserError(
            f"{folder}: expected {known.train:,} images to train and {known.test:,} to test, found {len(arrays[0]):,} and "
            f"{len(arrays[2]):,}: this is not the published data set; use it anyway: data.verify=false"
        )
    return Dataset(config.name, known.classes, *arrays)


def _decoded(config: DataConfig, folder: Path, split: str) -> list[np.ndarray]:
    source = tfds.data_source(folder, split, encoded=("image", "segmentation_mask"))
    squares = {}
    with bar(f"{config.name}: {split}", len(source), "images") as progress:
        for i in range(len(source)):
            record = source[i]
            pair = record["image"], record["segmentation_mask"]
            squares[record["file_name"]] = masks.pair(*pair, config.crop_pixels, VALUES, None)
            progress(i + 1)
    return [np.stack([squares[name][part] for name in sorted(squares)]) for part in (0, 1)]


def _build(config: DataConfig, folder: Path, without: str) -> Path:
    if config.archive_dir:
        where = expanded(config.archive_dir)
        if missing := [name for name in ARCHIVES if not (where / name).is_file()]:
            raise UserError(f"{where}: has no {' and no '.join(missing)}; fetch {URL}{missing[0]}")
    else:
        where = folder / "download"
        where.mkdir()
        for name in ARCHIVES:
            tell(f"{config.name}: downloading {URL}{name}, to be kept in {tfds.data_dir(config)}")
            try:
                with bar(f"{config.name}: download", ARCHIVES[name][0], "bytes") as progress:
                    download_file(URL + name, folder / name, progress).rename(where / name)
            except UserError as error:
                raise UserError(f"{error}. Without a network: {without}") from error
    for name in ARCHIVES if config.verify else ():
        with open(where / name, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != ARCHIVES[name][1]:
                raise UserError(
                    f"{where / name}: not the published archive, or cut short; fetch it again, or use it anyway: "
                    "data.verify=false"
                )
    try:
        for name in ARCHIVES:
            with tarfile.open(where / name) as archive:
                archive.extractall(folder / "unpacked", filter="data")
        return tfds.write(_builder_class(folder / "unpacked"), folder)
    except (tarfile.TarError, EOFError, FileNotFoundError, ValueError) as error:
        raise UserError(
            f"{where}: an archive is damaged or not the official one: {str(error).splitlines()[0]}; fetch it again"
        ) from error


def _builder_class(unpacked: Path):
    import tensorflow_datasets
    from tensorflow_datasets.core import registered

    stock = tensorflow_datasets.builder_cls(NAME)
    module = sys.modules[stock.__module__]
    annotations = unpacked / "annotations"

    with registered.skip_registration():

        class Builder(stock):
            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(annotations / name) for split, name in LISTS.items()}

            def _generate_examples(self, listed):
                for line in listed.read_text().splitlines():
                    name, label, species, _ = line.split()
                    image = (unpacked / "images" / f"{name}.jpg").read_bytes()
                    box = annotations / "xmls" / f"{name}.xml"  # test images have none
                    yield (
                        f"{name}.jpg",
                        {
                            "image": _as_jpeg(image) if name in module._CORRUPT_SAMPLES else image,
                            "label": int(label) - 1,
                            "species": int(species) - 1,
                            "file_name": f"{name}.jpg",
                            "segmentation_mask": (annotations / "trimaps" / f"{name}.png").read_bytes(),
                            "head_bbox": module._get_head_bbox(os.fspath(box)) if box.exists() else module._EMPTY_BBOX,
                        },
                    )

    Builder.name = NAME
    return Builder


def _as_jpeg(image: bytes) -> bytes:
    """Encode anew an image of another format, or that decoders warn of, as the stock builder does with TensorFlow."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()
