"""Small pictures in ImageNet's official forms, made for the tests."""

import io
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475", "n01496331", "n01498041")


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Smooth, as photographs are."""
    few = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(seed: int, width: int = 40, height: int = 30) -> bytes:
    file = io.BytesIO()
    picture(seed, width, height).save(file, "JPEG", quality=95)
    return file.getvalue()


def png(width, height, depth, colours, rows: bytes, transparency: bytes = b"") -> bytes:
    """A PNG file by its specification, for what Pillow does not write. rows: each with its filter byte."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    clear = chunk(b"tRNS", transparency) if transparency else b""
    return b"\x89PNG\r\n\x1a\n" + header + clear + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def of(split: str, classes: int, a_class: int) -> dict[str, dict[str, bytes]]:
    """Class -> file name -> content; wide and tall ones."""
    first = 0 if split == "train" else 10_000
    return {
        name: {
            f"{name}_{i}.JPEG": jpeg(first + 100 * label + i, *((40, 30) if i % 2 else (30, 40)))
            for i in range(a_class)
        }
        for label, name in enumerate(CLASSES[:classes])
    }


def folder(root: Path, classes: int = 7, train: int = 6, val: int = 3) -> Path:
    """root/train/CLASS/*.JPEG, root/val/CLASS/*.JPEG; returns root."""
    for split, a_class in (("train", train), ("val", val)):
        for name, files in of(split, classes, a_class).items():
            (root / split / name).mkdir(parents=True)
            for file, content in files.items():
                (root / split / name / file).write_bytes(content)
    return root


def archives(root: Path, classes: int = 7, train: int = 6, val: int = 9) -> Path:
    """The two official archives, with fewer images; those of validation are the first ones. Returns root."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as archive:
        for name, files in of("train", classes, train).items():
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as of_class:
                for file, content in files.items():
                    _add(of_class, file, content)
            _add(archive, f"{name}.tar", inner.getvalue())
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as archive:
        for i in reversed(range(val)):  # in any order
            _add(archive, f"ILSVRC2012_val_{i + 1:08}.JPEG", jpeg(20_000 + i))
    return root


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
