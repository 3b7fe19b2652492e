"""The Python version of CIFAR: a pickled dictionary a file, read without running anything that is in it.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. A pickle can name any function to be called; this one may
name those that make a NumPy array again, and no other.
"""

import codecs
import io
import pickle

import numpy as np

from ablations.errors import UserError

# Python 2 wrote `numpy.core`, NumPy 2 writes `numpy._core`; `_codecs.encode` is how Python 3 writes bytes.
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("_codecs", "encode"): codecs.encode,
}


class Forbidden(Exception):
    """The pickle names something else than an array."""


class Arrays(pickle.Unpickler):
    """Reads containers, numbers, text and arrays; raises Forbidden at anything else."""

    def find_class(self, module, name):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise Forbidden(f"{module}.{name}") from None


def read(where: str, content: bytes, keys: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, len(keys)) int64 and pixels (N, 3072) uint8 of one file.

    where: the file's name, for messages; keys: the dictionary's lists of labels.
    Raises UserError with what was expected and what was found.
    """
    try:
        batch = Arrays(io.BytesIO(content), encoding="bytes").load()
    except Forbidden as error:
        raise UserError(f"{where}: expected a pickle of arrays only, found a call of {error}: it was not run") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(
            f"{where}: expected a whole pickle, found {len(content):,} bytes that are none: {error}"
        ) from error
    if not isinstance(batch, dict):
        raise UserError(f"{where}: expected a pickled dict, found {type(batch).__name__}")
    batch = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    missing = [key for key in ("data", *keys) if key not in batch]
    if missing:
        other = {"fine_labels": "; this is CIFAR-100", "labels": "; this is CIFAR-10"}
        hint = next((hint for key, hint in other.items() if key in batch and key not in keys), "")
        found = ", ".join(sorted(map(str, batch)))
        raise UserError(f"{where}: expected the keys data, {', '.join(keys)}, found {found}{hint}")
    pixels = batch["data"]
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3072 or pixels.dtype != np.uint8:
        shape = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise UserError(f"{where}: expected pixels uint8 (N, 3072), found {shape}")
    for key in keys:
        labels = batch[key]
        if not isinstance(labels, list) or not all(type(label) is int and abs(label) < 1 << 31 for label in labels):
            raise UserError(
                f"{where}: expected {key} to be a list of small integers, found another {type(labels).__name__}"
            )
        if len(labels) != len(pixels):
            raise UserError(f"{where}: expected {len(pixels):,} {key}, found {len(labels):,}")
    return np.array([batch[key] for key in keys], np.int64).reshape(len(keys), -1).T, pixels
