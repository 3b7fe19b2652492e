"""CIFAR as TensorFlow Datasets' array_record files: written, and decoded again, without TensorFlow.

Decoding 60,000 PNG images takes longer than anyone wants to wait at each start. The decoded arrays are therefore kept
beside the array_record files as `ablations.npz` (184 MB for CIFAR), with the SHA-256 of the files that they come from: if
those change, or if the copy is damaged, they are decoded again. Other tools read the array_record files and never see
the copy.
"""

import contextlib
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ablations.data.cifar import official
from ablations.data.cifar.published import CIFARS, CLASS_NAMES
from ablations.data.tfds import data_source, write
from ablations.errors import UserError
from ablations.system.files import write_whole
from ablations.terminal.bar import bar

CACHE = "ablations.npz"


def build(name: str, splits: official.Splits, folder: Path) -> Path:
    """Write a data set as TensorFlow Datasets does, read it back, and return FOLDER/NAME/VERSION."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    total = sum(len(part.images) for part in splits.values())
    with bar(f"{name}: prepare", total, "images") as progress:
        folder = write(_builder_class(name, splits, progress), folder)
    written = decode(name, folder)
    for split, part in splits.items():
        same = np.array_equal(written[split].images, part.images)
        if not same or any((written[split].labels[label] != part.labels[label]).any() for label in part.labels):
            raise UserError(f"{folder}: reading it back gave other data: this disk or memory is damaged")
    keep(folder, splits, official.difference(name, splits))
    return folder


def _builder_class(name: str, splits: official.Splits, progress):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    stock = tfds.builder_cls(name)
    with registered.skip_registration():

        class Builder(stock):
            def _split_generators(self, dl_manager):
                features: Any = self.info.features  # of CIFAR, a dict that has its labels; of others, anything
                for label in CIFARS[name].classes:
                    features[label].names = CLASS_NAMES[name, label].split()
                return {split: self._generate_examples(split, part) for split, part in splits.items()}

            def _generate_examples(self, split, part):
                before = len(splits["train"].images) if split == "test" else 0
                for i, image in enumerate(part.images):
                    labels = {label: int(values[i]) for label, values in part.labels.items()}
                    yield i, labels | {"id": f"{split}_{i:05}", "image": png(image)}
                    progress(before + i + 1)

    Builder.name = name
    return Builder


def png(image: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8 without loss."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def cached(name: str, folder: Path) -> tuple[official.Splits, str]:
    """The images and labels, and how they differ from the published ones (`official.difference`)."""
    source = _checksum(folder)
    damage = OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile
    with contextlib.suppress(*damage), open(folder / CACHE, "rb") as file, np.load(file) as cache:
        if str(cache["source"]) == source:
            return _splits(cache), str(cache["difference"])
    splits = decode(name, folder)
    wrong = official.difference(name, splits)
    with contextlib.suppress(OSError):  # a folder that we may not write to is read more slowly
        keep(folder, splits, wrong)
    return splits, wrong


def keep(folder: Path, splits: official.Splits, difference: str) -> None:
    """Write the decoded copy."""
    arrays: dict[str, Any] = {"source": np.array(_checksum(folder)), "difference": np.array(difference)}
    for split, part in splits.items():
        arrays |= {f"{split}/images": part.images} | {
            f"{split}/{label}": values for label, values in part.labels.items()
        }
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(folder / CACHE, file.getbuffer())


def _splits(cache) -> official.Splits:
    splits = {}
    for split in ("train", "test"):
        names = [file for file in cache.files if file.startswith(f"{split}/")]
        arrays = {name.removeprefix(f"{split}/"): cache[name] for name in names}
        splits[split] = official.Split(arrays.pop("images"), arrays)
    return splits


def _checksum(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.array_record*")):
        with open(path, "rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def decode(name: str, folder: Path) -> official.Splits:
    """Decode the PNG images of the array_record files.

    Raises UserError if a file is missing or damaged.
    """
    from PIL import Image

    splits = {}
    for split in ("train", "test"):
        try:
            source = data_source(folder, split)
            records = sorted(source.__getitems__(range(len(source))), key=lambda record: record["id"])
            images = np.stack([np.asarray(Image.open(io.BytesIO(record["image"]))) for record in records])
            labels = {
                label: np.array([record[label] for record in records], np.uint8) for label in CIFARS[name].classes
            }
        except Exception as error:  # the reader's errors have no common class
            reason = str(error).split("\n")[0] or repr(error)
            raise UserError(
                f"{folder}: the {split} split cannot be read: {reason}. "
                f"Remove this folder and prepare it anew: ablations data prepare data={name}"
            ) from error
        splits[split] = official.Split(images, labels)
    return splits
