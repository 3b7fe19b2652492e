"""CIFAR as TensorFlow Datasets' array_record files: written, and decoded again, without TensorFlow.

Decoding 60,000 PNG images takes longer than anyone wants to wait at each start. What has been decoded once is
therefore kept beside the array_record files as `ablations.npz` (184 MB for CIFAR), with the SHA-256 of the
files that it was decoded from: where they are no longer the same, or where the copy is damaged, they are decoded
again. Other tools read the array_record files and never see the copy.
"""

import contextlib
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from ablations.data.cifar import official
from ablations.data.cifar.published import CIFARS, CLASS_NAMES
from ablations.data.tfds import write
from ablations.errors import UserError
from ablations.system.files import write_whole
from ablations.terminal.bar import bar


def build(name: str, splits: official.Splits, folder: Path) -> Path:
    """Write a data set as TensorFlow Datasets does, read it back, and return FOLDER/NAME/VERSION."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    total = sum(len(part.images) for part in splits.values())
    with bar(f"{name}: prepare", total, "images") as progress:
        place = write(_builder_class(name, splits, progress), folder)
    written = decode(name, place)
    for split, part in splits.items():
        same = np.array_equal(written[split].images, part.images)
        if not same or any((written[split].labels[label] != part.labels[label]).any() for label in part.labels):
            raise UserError(f"{place}: what was written is not what is read again: this disk or memory is damaged")
    keep(place, splits, official.difference(name, splits))
    return place


def _builder_class(name: str, splits: official.Splits, progress):
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


CACHE = "ablations.npz"


def cached(name: str, place: Path) -> tuple[official.Splits, str]:
    """The images and labels, and what tells them from the published ones."""
    source = _sum_of_files(place)
    damage = OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile
    with contextlib.suppress(*damage), open(place / CACHE, "rb") as file, np.load(file) as cache:
        if str(cache["source"]) == source:
            return _splits(cache), str(cache["difference"])
    splits = decode(name, place)
    wrong = official.difference(name, splits)
    with contextlib.suppress(OSError):  # a place that cannot be written to is read more slowly
        keep(place, splits, wrong)
    return splits, wrong


def keep(place: Path, splits: official.Splits, difference: str) -> None:
    """Write the decoded copy."""
    arrays = {"source": np.array(_sum_of_files(place)), "difference": np.array(difference)}
    for split, part in splits.items():
        arrays |= {f"{split}/images": part.images} | {f"{split}/{label}": of for label, of in part.labels.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(place / CACHE, file.getbuffer())


def _splits(cache) -> official.Splits:
    splits = {}
    for split in ("train", "test"):
        names = [file for file in cache.files if file.startswith(f"{split}/")]
        arrays = {name.removeprefix(f"{split}/"): cache[name] for name in names}
        splits[split] = official.Split(arrays.pop("images"), arrays)
    return splits


def _sum_of_files(place: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(place.glob("*.array_record*")):
        with open(path, "rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def decode(name: str, place: Path) -> official.Splits:
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
        splits[split] = official.Split(images, labels)
    return splits
