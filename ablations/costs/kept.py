"""What is kept in `~/.cache/ablations/plan`, each under a name made of all that it depends on."""

import contextlib
import gzip
import hashlib
import json
import os
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import ablations
from ablations.compilers.program import Compiled
from ablations.costs.cost import Ceilings, Figures, Timing
from ablations.system import files
from ablations.system.files import write_whole
from ablations.system.machine import processor

Answer = TypeVar("Answer", Figures, Timing, Ceilings, Compiled)


def key(*parts, anywhere: bool = False) -> str:
    """The name under which something is kept that depends on these parts, these versions and this machine.

    anywhere: every machine gives the same.
    """
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    settings = [os.environ.get(name) for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")]
    machine = [os.environ.get("XLA_FLAGS")] if anywhere else [os.uname().nodename, processor(), *settings]
    return hashlib.sha256(json.dumps([versions, machine, *parts]).encode()).hexdigest()[:32]


def source(pattern: str = "**/*.py") -> str:
    """A digest of this package's files: another source may make other networks."""
    total = hashlib.sha256()
    for path in sorted(Path(ablations.__file__).parent.glob(pattern)):
        total.update(path.read_bytes())
    return total.hexdigest()


def keep(key: str, answer: Figures | Timing | Compiled) -> None:
    with contextlib.suppress(OSError):  # without a cache it is made again
        path = _path(key, type(answer))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(answer)).encode()
        write_whole(path, gzip.compress(text, 6) if path.suffix == ".gz" else text)


def read(key: str, kind: type[Answer]) -> Answer | None:
    try:
        content = _path(key, kind).read_bytes()
        return from_json(kind, gzip.decompress(content) if kind is Compiled else content)
    except (OSError, EOFError, ValueError, TypeError, KeyError):
        return None


def _path(key: str, kind: type) -> Path:
    """The text of a program has megabytes, of which one in ten is left."""
    return files.cache() / "plan" / f"{key}.json{'.gz' if kind is Compiled else ''}"


def from_json(kind: type[Answer], text: str | bytes) -> Answer:
    """The inverse of `json.dumps(asdict(...))`, which writes tuples as lists."""
    content = json.loads(text)
    if issubclass(kind, Compiled):
        return kind.from_json(content)
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return kind(**fields)
