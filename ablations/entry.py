"""One run in its own process: what must be set before JAX is imported, then `train`."""

import os
import sys
from pathlib import Path

from ablations import interrupt, lock
from ablations.config import Config
from ablations.errors import UserError
from ablations.records import read_record

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # read when a process starts


class Busy(UserError):
    """Another process works on this run."""


def folder_of(config: Config) -> Path:
    return Path(config.runs_dir) / config.study / config.row / f"seed={config.seed}"


def run_one(config: Config, *, quiet: bool = False) -> None:
    """Train and leave everything in the run's folder.

    Raises UserError where that cannot be done: Busy where another process does it, Interrupted where a
    signal stopped it, or with the system's reason where the disk refused.
    """
    folder = folder_of(config)
    with lock.hold(folder) as ours:
        if not ours:
            raise Busy(f"{folder}: {lock.holder(folder)} works on it")
        if not config.force and (record := read_record(folder)) and record["config"] == config.resolved():
            return  # another process has just done it
        if interrupt.asked(config.runs_dir):
            raise interrupt.Interrupted(interrupt.NOT_STARTED)
        interrupt.listen()
        prepare(config.threads)
        from ablations.train import train

        try:
            train(config, folder, quiet=quiet)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"{folder} cannot be written: {reason}; what was finished is kept. Make room, then type the same command"
            ) from error


def prepare(threads: int) -> None:
    """Fix the number of XLA's threads on a CPU, and let all processes share compiled programs."""
    os.environ["NPROC"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache() / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def cache() -> Path:
    """Where is kept what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations"


def use_huge_pages() -> None:
    """Start this process again with huge pages for large arrays, where glibc has them.

    A compiled step maps all its memory anew: 70,000 pages of 4 KiB for ResNet-20 at 32x32, a tenth of its time.
    """
    is_command = len(sys.argv) > 1 and sys.orig_argv[1 - len(sys.argv) :] == sys.argv[1:]  # not a call from Python
    if is_command and sys.platform == "linux" and not HUGE_PAGES.keys() & os.environ.keys():
        os.environ |= HUGE_PAGES
        os.execv(sys.executable, sys.orig_argv)
