"""Small data sets in CIFAR's official formats, made for the tests."""

import io
import pickle
import struct
import tarfile
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path

import numpy as np

from ablations.data.cifar.published import CIFARS

IMAGES_A_FILE = {"cifar10": {"train": 20, "test": 30}, "cifar100": {"train": 300, "test": 100}}
FORMS = ("archive", "binary", "python")


def records(name: str, split: str) -> list[np.ndarray]:
    """A file each: (images, labels + 3072) uint8; every class as often as every other."""
    random = np.random.default_rng([len(name), len(split)])
    files = []
    for _ in getattr(CIFARS[name], split):
        images = IMAGES_A_FILE[name][split]
        labels = [np.arange(images) % classes for classes in CIFARS[name].classes.values()]
        pixels = random.integers(0, 256, (images, 3072))
        files.append(np.column_stack([*labels, pixels]).astype(np.uint8))
    return files


def contents(name: str, form: str) -> dict[str, bytes]:
    """File name -> content."""
    cifar, files = CIFARS[name], {}
    for split in ("train", "test"):
        for file, of in zip(getattr(cifar, split), records(name, split), strict=True):
            if form == "python":
                labels = {key: of[:, i].tolist() for i, key in enumerate(cifar.python_keys.values())}
                files[file] = python2_pickle({"data": of[:, len(labels) :].copy(), **labels, "batch_label": "a batch"})
            else:
                files[f"{file}.bin"] = of.tobytes()
    return files


def write(name: str, form: str, folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """An archive or a folder in `folder`; returns its path."""
    cifar, files = CIFARS[name], contents(name, form) if files is None else files
    folder.mkdir(parents=True, exist_ok=True)
    if form == "archive":
        with tarfile.open(folder / cifar.archive, "w:gz", compresslevel=1) as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(f"{cifar.binary}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return folder / cifar.archive
    path = folder / getattr(cifar, form)
    path.mkdir()
    for file, content in files.items():
        (path / file).write_bytes(content)
    return path


def publish(monkeypatch, name: str, archive: Path | None = None) -> None:
    """Let the small data set be the published one."""
    checksums = {file: sha256(content).hexdigest() for file, content in contents(name, "binary").items()}
    checksums = checksums if name == "cifar10" else {}
    checksums |= {file: md5(content).hexdigest() for file, content in contents(name, "python").items()}
    small = replace(CIFARS[name], images_a_file=IMAGES_A_FILE[name], checksums=checksums)
    if archive:
        small = replace(small, archive_sha256=sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setitem(CIFARS, name, small)


class Python2(pickle._Pickler):
    """Writes what Python 2's `cPickle.dump(..., 2)` does: text and bytes are one type, with its own opcodes."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, content):
        content = content.encode() if isinstance(content, str) else content
        self.write(b"T" + struct.pack("<i", len(content)) + content)

    dispatch[str] = dispatch[bytes] = save_str


def python2_pickle(batch: dict) -> bytes:
    file = io.BytesIO()
    Python2(file, 2).dump(batch)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
