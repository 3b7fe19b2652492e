"""Data sets prepared by TensorFlow Datasets as array_record: where they are, and reading them without TensorFlow.

Decoding 60,000 PNG images takes longer than anyone wants to wait at each start. What has been decoded once is
therefore kept beside the array_record files as `ablations.npz` (184 MB for CIFAR), with the SHA-256 of the
files that it was decoded from: where they are no longer the same, or where the copy is damaged, they are decoded
again. Other tools read the array_record files and never see the copy.
"""

import contextlib
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from ablations import cifar
from ablations.cifar_published import CIFARS
from ablations.data import DataConfig, Dataset
from ablations.errors import UserError
from ablations.records import write_whole

CACHE = "ablations.npz"


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


def prepare(config: DataConfig, *, download: bool = False) -> Path:
    """The folder of the prepared data set, which is prepared where it is not.

    Raises UserError where that takes a network, and `download` is false.
    """
    from ablations import prepare

    return find(config) or prepare.prepare(config, download=download)


def load(config: DataConfig) -> Dataset:
    """All images and labels, in the published order.

    Raises UserError where there are none, or where they are not the published ones (unless verify is false).
    """
    place = prepare(config)
    splits, wrong = _cached(config.name, place)
    if config.verify and wrong:
        raise UserError(
            f"{place}: {wrong}: this is not the published {CIFARS[config.name].title}. Remove this folder and prepare "
            f"it anew (ablations data prepare data={config.name}), or use it all the same: data.verify=false"
        )
    parts = [part for s in ("train", "test") for part in (splits[s].images, splits[s].labels["label"].astype(np.int32))]
    return Dataset(config.name, CIFARS[config.name].classes["label"], *parts)


def _cached(name: str, place: Path) -> tuple[cifar.Splits, str]:
    """The images and labels, and what tells them from the published ones."""
    source = _sum_of_files(place)
    damage = OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile
    with contextlib.suppress(*damage), open(place / CACHE, "rb") as file, np.load(file) as cache:
        if str(cache["source"]) == source:
            return _splits(cache), str(cache["difference"])
    splits = decode(name, place)
    wrong = cifar.difference(name, splits)
    with contextlib.suppress(OSError):  # a place that cannot be written to is read more slowly
        keep(place, splits, wrong)
    return splits, wrong


def keep(place: Path, splits: cifar.Splits, difference: str) -> None:
    """Write the decoded copy."""
    arrays = {"source": np.array(_sum_of_files(place)), "difference": np.array(difference)}
    for split, part in splits.items():
        arrays |= {f"{split}/images": part.images} | {f"{split}/{label}": of for label, of in part.labels.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(place / CACHE, file.getbuffer())


def _splits(cache) -> cifar.Splits:
    splits = {}
    for split in ("train", "test"):
        names = [file for file in cache.files if file.startswith(f"{split}/")]
        arrays = {name.removeprefix(f"{split}/"): cache[name] for name in names}
        splits[split] = cifar.Split(arrays.pop("images"), arrays)
    return splits


def _sum_of_files(place: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(place.glob("*.array_record*")):
        with open(path, "rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def decode(name: str, place: Path) -> cifar.Splits:
    """Decode the PNG images of the array_record files.

    Raises UserError where a file is missing or damaged.
    """
    import tensorflow_datasets as tfds
    from PIL import Image

    splits = {}
    for split in ("train", "test"):
        try:
            builder = tfds.builder_from_directory(place)
            source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            records = sorted(source.__getitems__(range(len(source))), key=lambda record: record["id"])
            images = np.stack([np.asarray(Image.open(io.BytesIO(record["image"]))) for record in records])
            labels = {
                label: np.array([record[label] for record in records], np.uint8) for label in CIFARS[name].classes
            }
        except Exception as error:  # the reader's errors have no common class
            reason = str(error).split("\n")[0] or repr(error)
            raise UserError(
                f"{place}: the {split} split cannot be read: {reason}. "
                f"Remove this folder and prepare it anew: ablations data prepare data={name}"
            ) from error
        splits[split] = cifar.Split(images, labels)
    return splits
