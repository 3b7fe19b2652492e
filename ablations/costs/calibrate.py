"""Figures and times of configurations, each measured once and then kept in `~/.cache/ablations/plan`.

A separate process measures them: it can be stopped at any moment, its start is part of what is measured, and its memory
is freed when it ends. What is kept holds for this source, these versions and this machine only.
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

Answer = TypeVar("Answer", Figures, Timing, Ceilings)
OFF = "off"  # a file in a meeting's folder that calls the meeting off


class Died(UserError):
    """The measuring process died."""


def figures(configs: list[Config]) -> list[Figures]:
    """The figures of each configuration; those that differ only in their seed are read once."""
    source = _source()
    keys = [_key(source, _seedless(config), config.unroll, config.remat) for config in configs]
    known = {key: kept for key in keys if (kept := _kept(key, Figures))}
    missing = {key: config for key, config in zip(keys, configs, strict=True) if key not in known}
    if missing:
        with bar("reading networks", len(missing), "networks") as update:
            answers = request(Figures, list(missing.values()))
            for done, (key, answer) in enumerate(zip(missing, answers, strict=True), 1):
                known[key] = answer
                _keep(key, answer)
                update(done)
    return [known[key] for key in keys]


def timings(programs: dict[str, Config]) -> dict[str, Timing]:
    """A short measured run of each program, alone. programs: by digest, a configuration that has the program."""
    known = {program: timing(program, config, measure=False) for program, config in programs.items()}
    missing = [program for program in programs if known[program] is None]
    if missing:
        with bar("calibrating", len(missing), "programs") as update:
            update(0)
            for done, program in enumerate(missing, 1):
                known[program] = timing(program, programs[program])
                update(done)
    return {program: timing for program, timing in known.items() if timing}  # all: what was missing is measured


def timing(program: str, config: Config, *, measure: bool = True) -> Timing | None:
    """A short measured run of one program; None if there is none yet and `measure` is false."""
    # The compiler's options are not part of the program: they come from this source.
    key = _key(
        _source("networks/kernels/convolution.py"),
        _source("training/determinism.py"),
        program,
        config.threads,
        config.packing,
        config.runs_at_a_time,
        config.devices,
        config.deterministic,
    )
    known = _kept(key, Timing)
    if known is None and measure:
        try:
            known = short_run(config)
            if not known.reason:  # memory that is missing now may be free later
                _keep(key, known)
        except Died as error:
            known = Timing(reason=str(error))
    return known


def short_run(config: Config, pixels: int | None = None) -> Timing:
    """Measure a short run, packed as the configuration says. Raises Died if the measuring process does."""
    count = config.runs_at_a_time or 1
    if config.packing != "processes" or count == 1:
        [alone] = request(Timing, [config], pixels)
        return alone
    with tempfile.TemporaryDirectory() as meeting, ThreadPoolExecutor(count) as pool:
        side_by_side = [
            pool.submit(list, request(Timing, [config], pixels, meeting=Path(meeting))) for _ in range(count)
        ]
        timings = []
        try:
            for process in as_completed(side_by_side):
                [timing] = process.result()
                if timing.reason:
                    return timing
                timings.append(timing)
        finally:
            (Path(meeting) / OFF).touch()  # or the others would wait for the one that does not come
    # As long as all of them together need for one step each.
    return replace(timings[0], steps=(count / sum(1 / timing.step_seconds for timing in timings),))


def request(
    kind: type[Answer], configs: list[Config], pixels: int | None = None, meeting: Path | None = None
) -> Iterator[Answer]:
    """Yield the Figures, Timing or Ceilings of each configuration, measured in a new process.

    pixels: the width of the images, if not that of the data set. meeting: a folder in which as many processes as
    run at a time wait for each other before they measure. Raises Died if the process does.
    """
    asked = {"kind": kind.__name__, "started": time.time(), "pixels": pixels}
    asked |= {"meeting": meeting and str(meeting), "imports": imports.imported}
    asked["configs"] = [{"resolved": config.resolved(), "speed": speed(config)} for config in configs]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as words:
        environment = malloc.HUGE_PAGES | os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        if meeting and (gpus := accelerators.gpus()):  # side by side on the same GPUs, not each on free ones
            environment[accelerators.VISIBLE] = ",".join(gpus[: configs[0].devices])
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
                    raise Died(f"killed by signal {-code}, perhaps out of memory" if code < 0 else said[-1])
                yield _from_json(kind, line)
        finally:
            worker.process.kill()
            worker.process.wait()
            worker.stdout.close()


def answer() -> None:
    """The other end of `request`: measure what standard input asks for, and print the answers."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C works even inside a program that takes minutes
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    for arguments in asked["imports"]:
        imports.load(*arguments)
    configs = [replace(from_resolved(config["resolved"]), **config["speed"]) for config in asked["configs"]]
    entry.prepare(configs[0])
    import jax

    from ablations.costs import measure

    jax.devices()
    import_seconds = time.time() - asked["started"]
    for config in configs:
        measured = {
            "Figures": lambda config: measure.figures(config, asked["pixels"]),
            "Timing": lambda config: measure.timing(
                config, import_seconds, asked["pixels"], lambda: _meet(config, asked)
            ),
            "Ceilings": measure.ceilings,
        }[asked["kind"]](config)
        print(json.dumps(asdict(measured)), file=answers, flush=True)


def _meet(config: Config, asked: dict) -> None:
    """Wait until all processes that run at a time are here."""
    if asked["meeting"] is None:
        return
    meeting = Path(asked["meeting"])
    (meeting / str(os.getpid())).touch()
    while len(list(meeting.iterdir())) < (config.runs_at_a_time or 1) and not (meeting / OFF).exists():
        time.sleep(0.01)
    if (meeting / OFF).exists():
        sys.exit("another of the processes that run side by side has failed")


def _seedless(config: Config) -> dict:
    """What decides a network, including a user's class as it is now."""
    return config.resolved() | {"seed": None} | made_by(type(config.shortcut))


def _key(*parts) -> str:
    """The name under which something is kept that depends on these parts, this machine and these versions."""
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    settings = [os.environ.get(name) for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")]
    machine = [os.uname().nodename, processor(), *settings]
    return hashlib.sha256(json.dumps([versions, machine, *parts]).encode()).hexdigest()[:32]


def _source(files: str = "**/*.py") -> str:
    """A digest of this package's files: another source may make other networks."""
    total = hashlib.sha256()
    for path in sorted(Path(ablations.__file__).parent.glob(files)):
        total.update(path.read_bytes())
    return total.hexdigest()


def _keep(key: str, measured: Figures | Timing) -> None:
    folder = system_files.cache() / "plan"
    with contextlib.suppress(OSError):  # without a cache it is measured again
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{key}.json", json.dumps(asdict(measured)))


def _kept(key: str, kind: type[Answer]) -> Answer | None:
    try:
        return _from_json(kind, (system_files.cache() / "plan" / f"{key}.json").read_text())
    except (OSError, ValueError, TypeError):
        return None


def _from_json(kind: type[Answer], text: str) -> Answer:
    """The inverse of `json.dumps(asdict(...))`, which writes tuples as lists."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}
    return kind(**fields)


if __name__ == "__main__":
    try:
        answer()
    except UserError as error:
        sys.exit(str(error))
