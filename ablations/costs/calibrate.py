"""Figures, times and compiled programs of configurations, each made once and then kept (see `kept`).

A separate process makes them: it can be stopped at any moment, its start is part of what is measured, its memory is
freed when it ends, and XLA starts in it as it must to compile for other devices.
"""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

from ablations.compilers import target as compilers
from ablations.compilers.target import Target
from ablations.config import imports
from ablations.config.run import Config, from_resolved
from ablations.costs import kept
from ablations.costs.cost import Figures, Timing
from ablations.costs.kept import Answer
from ablations.errors import UserError
from ablations.networks.registry import made_by
from ablations.setting import speed
from ablations.system import child, malloc
from ablations.system import machine as accelerators
from ablations.terminal.bar import bar
from ablations.training import environment as entry

OFF = "off"  # a file in a meeting's folder that calls the meeting off


class Died(UserError):
    """The measuring process died."""


def figures(configs: list[Config], target: Target | None = None) -> list[Figures]:
    """The figures of each configuration, of its program for this machine or for a target.

    Those that differ only in their seed are read once.
    """
    source = kept.source()
    keys = [
        kept.key(source, _seedless(config), config.unroll, config.remat, *_where(config, target)) for config in configs
    ]
    known = {key: answer for key in keys if (answer := kept.read(key, Figures))}
    missing = {key: config for key, config in zip(keys, configs, strict=True) if key not in known}
    if missing:
        with bar("reading networks", len(missing), "networks") as update:
            answers = request(Figures, list(missing.values()), target=target)
            for done, (key, answer) in enumerate(zip(missing, answers, strict=True), 1):
                known[key] = answer
                kept.keep(key, answer)
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
    key = kept.key(
        kept.source("networks/kernels/convolution.py"),
        kept.source("training/determinism.py"),
        program,
        config.threads,
        config.packing,
        config.runs_at_a_time,
        config.devices,
        config.deterministic,
    )
    known = kept.read(key, Timing)
    if known is None and measure:
        try:
            known = short_run(config)
            if not known.reason:  # memory that is missing now may be free later
                kept.keep(key, known)
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
    kind: type[Answer],
    configs: list[Config],
    pixels: int | None = None,
    meeting: Path | None = None,
    target: Target | None = None,
) -> Iterator[Answer]:
    """Yield the Figures, Timing, Ceilings or Compiled of each configuration, made in a new process.

    pixels: the width of the images, if not that of the data set. meeting: a folder in which as many processes as
    run at a time wait for each other before they measure. target: for which figures are read and programs compiled.
    Raises Died if the process does.
    """
    asked = {"kind": kind.__name__, "started": time.time(), "pixels": pixels, "target": target and target.asked}
    asked |= {"meeting": meeting and str(meeting), "imports": imports.imported}
    asked["configs"] = [{"resolved": config.resolved(), "speed": speed(config)} for config in configs]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as words:
        environment = malloc.HUGE_PAGES | os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        if target:
            environment |= compilers.ENVIRONMENT
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
                yield kept.from_json(kind, line)
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
    target = asked["target"] and compilers.choose(**asked["target"])
    entry.start()
    from ablations.costs import measure

    import_seconds = time.time() - asked["started"]
    for config in configs:
        measured = {
            "Figures": lambda config: measure.figures(config, asked["pixels"], target),
            "Timing": lambda config: measure.timing(
                config, import_seconds, asked["pixels"], lambda: _meet(config, asked)
            ),
            "Ceilings": measure.ceilings,
            "Compiled": lambda config: measure.compiled(config, target),
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


def _where(config: Config, target: Target | None) -> tuple:
    """What of a target decides a program's text: its platform, and the number of devices."""
    return (target.platform, target.spread(config.devices)) if target else ()


def _seedless(config: Config) -> dict:
    """What decides a network, including a user's class as it is now."""
    return config.resolved() | {"seed": None} | made_by(type(config.shortcut), type(config.model))


if __name__ == "__main__":
    try:
        answer()
    except UserError as error:
        sys.exit(str(error))
