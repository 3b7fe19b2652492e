"""Figures and times of configurations, each made once and then kept in `~/.cache/ablations/plan`.

A process of its own makes them: one that can be stopped at any moment, whose start is part of what is measured,
and that gives its memory back. What is kept is of this source, these versions and this machine.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

from ablations import entry
from ablations.bar import bar
from ablations.config import Config, from_resolved
from ablations.cost import Figures, Timing
from ablations.errors import UserError
from ablations.records import processor, write_whole


class Died(UserError):
    """The process that measures ended by itself."""


def figures(configs: list[Config]) -> list[Figures]:
    """Of each configuration; those that differ in their seed only are looked at once."""
    source = _source()
    keys = [_key(source, _seedless(config), config.unroll) for config in configs]
    found = {key: _kept(key, Figures) for key in keys}
    missing = {key: config for key, config in zip(keys, configs, strict=True) if found[key] is None}
    if missing:
        with bar("reading networks", len(missing), "networks") as update:
            for done, (key, of) in enumerate(zip(missing, made(Figures, list(missing.values())), strict=True), 1):
                found[key] = of
                _keep(key, of)
                update(done)
    return [found[key] for key in keys]


def timings(programs: dict[str, Config]) -> dict[str, Timing]:
    """Of each program, by its digest with a configuration that has it: a short measured run, alone."""
    keys = {program: _key(program, config.threads) for program, config in programs.items()}
    found = {program: _kept(key, Timing) for program, key in keys.items()}
    missing = [program for program in programs if found[program] is None]
    if missing:
        with bar("calibrating", len(missing), "programs") as update:
            update(0)
            for done, program in enumerate(missing, 1):
                try:
                    [found[program]] = made(Timing, [programs[program]])
                    _keep(keys[program], found[program])
                except Died as error:
                    found[program] = Timing(reason=str(error))
                update(done)
    return found


def made(kind: type, configs: list[Config], pixels: int | None = None) -> Iterator:
    """Figures, Timing or Ceilings of each configuration, made in a new process.

    pixels: the width of the images, where it is not the data set's. Raises Died where the process did.
    """
    asked = {"kind": kind.__name__, "started": time.time(), "threads": configs[0].threads, "pixels": pixels}
    asked["configs"] = [{"resolved": config.resolved(), "unroll": config.unroll} for config in configs]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as words:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": words, "text": True}
        process = subprocess.Popen([sys.executable, "-m", __name__], env=environment, **streams)
        try:
            process.stdin.write(json.dumps(asked))
            process.stdin.close()
            for _ in configs:
                line = process.stdout.readline()
                if not line:
                    code = process.wait()
                    words.seek(0)
                    said = words.read().strip().splitlines() or [""]
                    raise Died(f"killed by signal {-code}, perhaps for want of memory" if code < 0 else said[-1])
                answer = json.loads(line)
                yield kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in answer.items()})
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def answer() -> None:
    """The other end: a process that measures what its standard input names."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # also inside a program that takes minutes
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    entry.prepare(asked["threads"])
    import jax

    from ablations import measure

    jax.devices()
    import_seconds = time.time() - asked["started"]
    for one in asked["configs"]:
        config = replace(from_resolved(one["resolved"]), unroll=one["unroll"])
        found = {
            "Figures": lambda config: measure.figures(config, asked["pixels"]),
            "Timing": lambda config: measure.timing(config, import_seconds, asked["pixels"]),
            "Ceilings": measure.ceilings,
        }[asked["kind"]](config)
        print(json.dumps(asdict(found)), file=answers, flush=True)


def _seedless(config: Config) -> dict:
    return config.resolved() | {"seed": None}


def _key(*parts) -> str:
    """The name of what is kept of these: on this machine, with these versions."""
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    settings = [os.environ.get(name) for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")]
    machine = [os.uname().nodename, processor(), *settings]
    return hashlib.sha256(json.dumps([versions, machine, *parts]).encode()).hexdigest()[:32]


def _source() -> str:
    """A digest of this package: other source, other networks."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def _keep(key: str, found: Figures | Timing) -> None:
    place = entry.cache() / "plan"
    with contextlib.suppress(OSError):  # without a cache it is made again
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / f"{key}.json", json.dumps(asdict(found)))


def _kept(key: str, kind: type) -> Figures | Timing | None:
    try:
        content = json.loads((entry.cache() / "plan" / f"{key}.json").read_text())
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in content.items()})
    except (OSError, ValueError, TypeError):
        return None


if __name__ == "__main__":
    answer()
