"""The official files of CIFAR-10 and CIFAR-100: find, check and read them.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. A record of a binary file is the label (in CIFAR-100: the coarse,
then the fine label), one byte each, then 3,072 bytes of pixels: 32x32 red, then green, then blue. Nothing here writes a
file.
"""

import gzip
import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from ablations.data.cifar import pickled
from ablations.data.cifar.published import CIFARS, PIXELS, Cifar
from ablations.errors import UserError

TRUST = "; data.verify=false reads it anyway"


@dataclass(frozen=True)
class Split:
    """images: (N, 32, 32, 3) uint8, in the published order; labels: name -> (N,) uint8."""

    images: np.ndarray
    labels: dict[str, np.ndarray]


Splits = dict[Literal["train", "test"], Split]


def find(name: str, folder: Path) -> Path:
    """The archive, or the folder of its files: `folder` itself, or what lies in it.

    Raises UserError, with what is there instead, if it is neither.
    """
    cifar = CIFARS[name]
    names = cifar.archive, cifar.binary, cifar.python
    if not folder.exists():
        raise UserError(f"{folder}: expected a folder with {cifar.archive}, but it does not exist")
    if folder.name in names:
        return folder
    for path in (folder / name for name in names):
        if path.exists():
            return path
    if any(_holds(folder, cifar, suffix) for suffix in (".bin", "")):
        return folder
    contents = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    hint = ""
    for other_name, other in CIFARS.items():
        if other_name != name and {other.archive, other.binary, other.python} & (contents | {folder.name}):
            hint = f", which is {other.title}: data={other_name} reads it"
    listed = ", ".join(sorted(contents)[:5]) + (", ..." if len(contents) > 5 else "")
    expected = f"{cifar.archive}, {cifar.binary}/ or {cifar.python}/"
    raise UserError(f"{folder}: expected {expected}, found {listed or 'an empty folder'}{hint}")


def read(name: str, path: Path, *, verify: bool = True) -> tuple[Splits, str]:
    """The images and labels of an official archive or folder (see `find`), and one line about its checksums.

    verify: refuse files that are not the published ones, byte for byte; their structure is checked in any case.
    Raises UserError with the file, what was expected and what was found.
    """
    cifar, note = CIFARS[name], ""
    files = {split: getattr(cifar, split) for split in ("train", "test")}
    python = not _holds(path, cifar, ".bin") and (path.name == cifar.python or _holds(path, cifar, ""))
    suffix = "" if python else ".bin"
    wanted = [f"{file}{suffix}" for names in files.values() for file in names]
    try:
        contents = _read_folder(path, wanted) if path.is_dir() else _read_archive(cifar, path, wanted)
        whole = verify and not path.is_dir() and _sum(path, "sha256") == cifar.archive_sha256
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    splits = {}
    for split, names in files.items():
        parts = []
        for file in names:
            where, content = _inside(path, file + suffix), contents.pop(file + suffix)
            records = _python_records(cifar, where, content) if python else _binary_records(cifar, where, content)
            if verify:
                _check_count(where, len(records), cifar.images_a_file[split])
                if not whole:
                    _check_sum(cifar, path, file + suffix, content)
            parts.append(records)
        records = np.concatenate(parts)
        if not len(records):
            raise UserError(f"{path}: expected images in {split}, found none")
        splits[split] = _split(cifar, records)
    if not verify:
        note = "checksums were not compared (data.verify=false)"
    elif whole:
        note = "its checksum is the published one"
    elif path.is_dir() and wanted[0] not in cifar.checksums:
        if wrong := difference(name, splits):
            raise UserError(f"{path}: {wrong}{TRUST}")
        note = "no checksums are published for its files; each class has the right number of images"
    elif path.is_dir():
        note = "the checksum of every file is the published one"
    else:
        note = "the archive was repacked (its checksum differs), but every file in it is the published one"
    return splits, note


def difference(name: str, splits: Splits) -> str:
    """How these images and labels differ from the published ones; "" if they do not.

    CIFAR-10 is compared by the checksums of its files; CIFAR-100, which has a published checksum for the archive only, by
    the number of images of each class.
    """
    cifar = CIFARS[name]
    for split, part in splits.items():
        if len(part.images) != cifar.images(split):
            return f"expected {cifar.images(split):,} images in {split}, found {len(part.images):,}"
        counts = np.bincount(part.labels["label"], minlength=cifar.classes["label"])
        each = cifar.images(split) // cifar.classes["label"]
        if (counts != each).any():
            wrong = int(np.argmax(counts != each))
            return f"expected {each:,} images of each class in {split}, found {counts[wrong]:,} of class {wrong}"
        size = cifar.images_a_file[split]
        for i, file in enumerate(getattr(cifar, split)):
            expected = cifar.checksums.get(f"{file}.bin")
            rows = slice(i * size, (i + 1) * size)
            labels = [part.labels[label][rows, None] for label in cifar.classes]
            pixels = part.images[rows].transpose(0, 3, 1, 2).reshape(size, PIXELS)
            if expected and (found := hashlib.sha256(np.hstack([*labels, pixels]).tobytes()).hexdigest()) != expected:
                return f"expected {split} images of {file}.bin with SHA-256 {expected}, found {found}"
    return ""


def _holds(folder: Path, cifar: Cifar, suffix: str) -> bool:
    return any((folder / f"{file}{suffix}").is_file() for file in cifar.train + cifar.test)


def _inside(path: Path, file: str) -> str:
    return str(path / file) if path.is_dir() else f"{path}: {file}"


def _read_folder(folder: Path, wanted: list[str]) -> dict[str, bytes]:
    _check_complete(folder, wanted, sorted(path.name for path in folder.iterdir()))
    return {name: (folder / name).read_bytes() for name in wanted}


def _read_archive(cifar: Cifar, path: Path, wanted: list[str]) -> dict[str, bytes]:
    contents, members = {}, []
    size = f"expected a whole archive ({cifar.archive_bytes:,} bytes as published), found {path.stat().st_size:,} bytes"
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    inside = PurePosixPath(member.name)
                    if member.isfile() and (file := archive.extractfile(member)) is not None:
                        members.append(str(inside))
                        if str(inside.parent) == cifar.binary and inside.name in wanted:
                            contents[inside.name] = file.read()
            while stream.read(1 << 20):  # gzip compares its checksum at the end of the stream
                pass
    except EOFError as error:
        raise UserError(f"{path}: {size}: it is cut short") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: {size}: it is damaged: {error}") from error
    _check_complete(path, [f"{cifar.binary}/{name}" for name in wanted], members)
    return contents


def _check_complete(path: Path, wanted: list[str], present: list[str]) -> None:
    missing = [name for name in wanted if name not in present]
    if not missing:
        return
    hint = ""
    for name, other in CIFARS.items():
        files = {file + suffix for file in other.train + other.test for suffix in ("", ".bin")}
        if files & _last_parts(present) and not files & _last_parts(wanted):
            hint = f": this is {other.title}; data={name} reads it"
    found = ", ".join(present[:8]) + (", ..." if len(present) > 8 else "") or "nothing"
    raise UserError(f"{path}: expected {', '.join(missing)}, found {found}{hint}")


def _last_parts(names: list[str]) -> set[str]:
    return {PurePosixPath(name).name for name in names}


def _binary_records(cifar: Cifar, where: str, content: bytes) -> np.ndarray:
    """(N, labels + 3072) uint8."""
    size = cifar.record_bytes
    if len(content) % size:
        hint = ""
        for name, other in CIFARS.items():
            if other is not cifar and len(content) % other.record_bytes == 0:
                hint = f"; records of {other.record_bytes:,} bytes are {other.title}'s: data={name} reads them"
        raise UserError(
            f"{where}: expected records of {size:,} bytes ({len(cifar.classes)} of labels, {PIXELS:,} of pixels), "
            f"found {len(content):,} bytes, which is {len(content) / size:.2f} records{hint}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    _check_labels(cifar, where, records)
    return records


def _python_records(cifar: Cifar, where: str, content: bytes) -> np.ndarray:
    labels, pixels = pickled.read(where, content, tuple(cifar.python_keys.values()))
    _check_labels(cifar, where, labels)
    return np.hstack([labels.astype(np.uint8), pixels])


def _check_labels(cifar: Cifar, where: str, records: np.ndarray) -> None:
    """Check the labels in the first columns of (N, ...)."""
    for column, (label, classes) in enumerate(cifar.classes.items()):
        wrong = (records[:, column] < 0) | (records[:, column] >= classes)
        if wrong.any():
            i = int(np.argmax(wrong))
            what = label.replace("_", " ")
            raise UserError(
                f"{where}: expected a {what} in 0 ... {classes - 1}, found {records[i, column]} at image {i:,}"
            )


def _check_count(where: str, found: int, expected: int) -> None:
    if found != expected:
        raise UserError(f"{where}: expected {expected:,} images, found {found:,}{TRUST}")


def _check_sum(cifar: Cifar, path: Path, file: str, content: bytes) -> None:
    """Compare the checksum of a file, or of the archive that it is in if none is published for the file."""
    expected = cifar.checksums.get(file)
    if expected:
        kind = "md5" if len(expected) == 32 else "sha256"
        found, where = hashlib.new(kind, content, usedforsecurity=False).hexdigest(), _inside(path, file)
    elif path.is_dir():
        return  # nothing to compare; `read` counts the images of each class
    else:
        kind, expected, found, where = "sha256", cifar.archive_sha256, _sum(path, "sha256"), path
    if found != expected:
        kind = {"md5": "MD5", "sha256": "SHA-256"}[kind]
        raise UserError(f"{where}: expected {kind} {expected} (as published), found {found}{TRUST}")


def _sum(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _split(cifar: Cifar, records: np.ndarray) -> Split:
    labels = {label: records[:, i].copy() for i, label in enumerate(cifar.classes)}
    pixels = records[:, len(cifar.classes) :].reshape(-1, 3, 32, 32)
    return Split(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels)
