"""Figures and times of configurations, each made once and then kept in `~/.cache/ablations/plan`.

A process of its own makes them: one that can be stopped at any moment, whose start is part of what is measured,
and that gives its memory back. What is kept is of this source, these versions and this machine.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import ablations
from ablations.config import imports
from ablations.config.run import Config, from_resolved
from ablations.costs.cost import Ceilings, Figures, Timing
from ablations.errors import UserError
from ablations.networks.registry import made_by
from ablations.setting import speed
from ablations.system import child, malloc
from ablations.system import files as system_files
from ablations.system import machine as accelerators
from ablations.system.files import write_whole
from ablations.system.machine import processor
from ablations.terminal.bar import bar
from ablations.training import environment as entry

Made = TypeVar("Made", Figures, Timing, Ceilings)

OFF = "off"  # a file in a meeting's folder: it does not take place


class Died(UserError):
    """The process that measures ended by itself."""


def figures(configs: list[Config]) -> list[Figures]:
    """Of each configuration; those that differ in their seed only are looked at once."""
    source = _source()
    keys = [_key(source, _seedless(config), config.unroll, config.remat) for config in configs]
    found = {key: kept for key in keys if (kept := _kept(key, Figures))}
    missing = {key: config for key, config in zip(keys, configs, strict=True) if key not in found}
    if missing:
        with bar("reading networks", len(missing), "networks") as update:
            for done, (key, of) in enumerate(zip(missing, made(Figures, list(missing.values())), strict=True), 1):
                found[key] = of
                _keep(key, of)
                update(done)
    return [found[key] for key in keys]


def timings(programs: dict[str, Config]) -> dict[str, Timing]:
    """Of each program, by its digest with a configuration that has it: a short measured run, alone."""
    found = {program: timing(program, config, measure=False) for program, config in programs.items()}
    missing = [program for program in programs if found[program] is None]
    if missing:
        with bar("calibrating", len(missing), "programs") as update:
            update(0)
            for done, program in enumerate(missing, 1):
                found[program] = timing(program, programs[program])
                update(done)
    return {program: known for program, known in found.items() if known}  # all: what was missing is measured


def timing(program: str, config: Config, *, measure: bool = True) -> Timing | None:
    """A short measured run of one program; None where there is none yet and none may be made."""
    # What the compiler is told beside a program is said in the source of convolutions.
    key = _key(
        _source("networks/kernels/convolution.py"),
        program,
        config.threads,
        config.packing,
        config.runs_at_a_time,
        config.devices,
    )
    found = _kept(key, Timing)
    if found is None and measure:
        try:
            found = measured(config)
            if not found.reason:  # memory that lacks now may be there later
                _keep(key, found)
        except Died as error:
            found = Timing(reason=str(error))
    return found


def measured(config: Config, pixels: int | None = None) -> Timing:
    """A short run, packed as the configuration says. Raises Died where its process did."""
    count = config.runs_at_a_time or 1
    if config.packing != "processes" or count == 1:
        [alone] = made(Timing, [config], pixels)
        return alone
    with tempfile.TemporaryDirectory() as meeting, ThreadPoolExecutor(count) as pool:
        side_by_side = [pool.submit(list, made(Timing, [config], pixels, meeting=Path(meeting))) for _ in range(count)]
        found = []
        try:
            for process in as_completed(side_by_side):
                [one] = process.result()
                if one.reason:
                    return one
                found.append(one)
        finally:
            (Path(meeting) / OFF).touch()  # or the others would wait for the one that does not come
    # As long as all of them together need for one step each.
    return replace(found[0], steps=(count / sum(1 / of.step_seconds for of in found),))


def made(
    kind: type[Made], configs: list[Config], pixels: int | None = None, meeting: Path | None = None
) -> Iterator[Made]:
    """Figures, Timing or Ceilings of each configuration, made in a new process.

    pixels: the width of the images, where it is not the data set's. meeting: a folder in which as many processes as
    run at a time wait for each other before they measure. Raises Died where the process did.
    """
    asked = {"kind": kind.__name__, "started": time.time(), "pixels": pixels}
    asked |= {"meeting": meeting and str(meeting), "imports": imports.imported}
    asked["configs"] = [{"resolved": config.resolved(), "speed": speed(config)} for config in configs]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as words:
        environment = malloc.HUGE_PAGES | os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        if meeting and (there := accelerators.gpus()):  # side by side on the same ones, not each on free ones
            environment[accelerators.VISIBLE] = ",".join(there[: configs[0].devices])
        worker = child.start(__name__, env=environment, stderr=words)
        try:
            worker.stdin.write(json.dumps(asked))
            worker.stdin.close()
            for _ in configs:
                line = worker.stdout.readline()
                if not line:
                    code = worker.process.wait()
                    words.seek(0)
                    said = words.read().strip().splitlines() or [""]
                    raise Died(f"killed by signal {-code}, perhaps for want of memory" if code < 0 else said[-1])
                yield _from_json(kind, line)
        finally:
            worker.process.kill()
            worker.process.wait()
            worker.stdout.close()


def answer() -> None:
    """The other end: a process that measures what its standard input names."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # also inside a program that takes minutes
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for one in asked["imports"]:
        imports.load(*one)
    configs = [replace(from_resolved(one["resolved"]), **one["speed"]) for one in asked["configs"]]
    entry.prepare(configs[0])
    import jax

    from ablations.costs import measure

    jax.devices()
    import_seconds = time.time() - asked["started"]
    for config in configs:
        found = {
            "Figures": lambda config: measure.figures(config, asked["pixels"]),
            "Timing": lambda config: measure.timing(
                config, import_seconds, asked["pixels"], lambda: _meet(config, asked)
            ),
            "Ceilings": measure.ceilings,
        }[asked["kind"]](config)
        print(json.dumps(asdict(found)), file=answers, flush=True)


def _meet(config: Config, asked: dict) -> None:
    """Wait until all that run at a time are here."""
    if asked["meeting"] is None:
        return
    meeting = Path(asked["meeting"])
    (meeting / str(os.getpid())).touch()
    while len(list(meeting.iterdir())) < (config.runs_at_a_time or 1) and not (meeting / OFF).exists():
        time.sleep(0.01)
    if (meeting / OFF).exists():
        sys.exit("another process of those side by side does not come")


def _seedless(config: Config) -> dict:
    """What decides a network: a user's class as it is now, too."""
    return config.resolved() | {"seed": None} | made_by(type(config.shortcut))


def _key(*parts) -> str:
    """The name of what is kept of these: on this machine, with these versions."""
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    settings = [os.environ.get(name) for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")]
    machine = [os.uname().nodename, processor(), *settings]
    return hashlib.sha256(json.dumps([versions, machine, *parts]).encode()).hexdigest()[:32]


def _source(files: str = "**/*.py") -> str:
    """A digest of this package's files: other source, other networks."""
    total = hashlib.sha256()
    for path in sorted(Path(ablations.__file__).parent.glob(files)):
        total.update(path.read_bytes())
    return total.hexdigest()


def _keep(key: str, found: Figures | Timing) -> None:
    place = system_files.cache() / "plan"
    with contextlib.suppress(OSError):  # without a cache it is made again
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / f"{key}.json", json.dumps(asdict(found)))


def _kept(key: str, kind: type[Made]) -> Made | None:
    try:
        return _from_json(kind, (system_files.cache() / "plan" / f"{key}.json").read_text())
    except (OSError, ValueError, TypeError):
        return None


def _from_json(kind: type[Made], text: str) -> Made:
    """The inverse of `json.dumps(asdict(...))`, which writes tuples as lists."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}
    return kind(**fields)


if __name__ == "__main__":
    try:
        answer()
    except UserError as error:
        sys.exit(str(error))
