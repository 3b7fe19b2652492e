"""What all tests share. Warnings are errors, rank promotion raises, one thread, no accelerator."""

import contextlib
import ctypes
import fcntl
import gc
import io
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["NPROC"] = "1"
os.environ["XDG_CACHE_HOME"] = str(ROOT / ".pytest_cache" / "xdg")  # compiled programs, shared by all tests
# Compile fast, to programs that are slow: tests run few steps.
COMPILE_FAST = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if metadata.version("jaxlib").startswith(
    "0.10."
):  # a quarter of the time; newer ones end at a flag that they do not know
    COMPILE_FAST += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = COMPILE_FAST
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".pytest_cache" / "xdg" / "ablations" / "xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.02"
os.environ.pop("COLUMNS", None)

import jax  # noqa: E402, after the environment that it reads
import pytest  # noqa: E402

from ablations import cli  # noqa: E402
from ablations.config import compose, imports, searchpath  # noqa: E402
from ablations.config.compose import parse  # noqa: E402
from ablations.config.run import Config  # noqa: E402
from ablations.costs import calibrate, measure  # noqa: E402
from ablations.costs.cost import Figures  # noqa: E402
from ablations.networks.activation import ORDERS  # noqa: E402
from ablations.networks.registry import FAMILIES, SHORTCUTS  # noqa: E402
from ablations.runs.record import FIELDS  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(50_000, 20, 50)  # tracing makes many objects that live; looking at them takes a twentieth of the time
gc.collect()
gc.freeze()  # what was imported stays

COMMAND = [sys.executable, "-m", "ablations"]


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: some tests wait for processes, signals and locks."""
    return (os.cpu_count() or 1) + 2


def ablations(*arguments: str, cwd: Path, **options) -> subprocess.CompletedProcess:
    """Run the command as a user does."""
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, **options)


# The same with a twentieth of a second after each step, so that there is time to stop one that trains in this process.
SLOWLY = [sys.executable, "-c", """
import time
from ablations import cli
from ablations.system import interrupt
look = interrupt.stop_requested
interrupt.stop_requested = lambda folder: time.sleep(0.05) or look(folder)
cli.main()
"""]  # fmt: skip


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """What the command says and how it ends, in this process: for what is refused or read. It trains here with
    hydra/launcher=basic only, else in a process of its own.

    An error that is no message of ours reaches the test as it is.
    """
    out, error = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["ablations", *arguments])
            try:
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), error.getvalue())


@contextlib.contextmanager
def bound_by_permissions():
    """Within this block, permissions bind this thread even if it is the superuser's, as in a container. Linux."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    before = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    if os.geteuid() == 0 and not hasattr(libc, "capset"):
        pytest.skip("permissions do not bind the superuser, and only Linux can change that")
    if os.geteuid() == 0:
        assert libc.capget(header, before) == 0
        none = (ctypes.c_uint32 * 6)(*before)
        none[0] = none[3] = 0  # what is permitted can be taken again
        assert libc.capset(header, none) == 0
    try:
        yield
    finally:
        if os.geteuid() == 0:
            assert libc.capset(header, before) == 0


# Few to train on and to test, 144 of the training set, and no program for exact statistics: an evaluation takes little
# beside a step.
FEW_IMAGES = ("recipe.batch_size=8", "data.split=train_val", "data.train_images=160", "recipe.bn_statistics=running")


# A record that says nothing, of which a test fills in what it is about.
BLANK = {name: kind() for name, kind in FIELDS.items()}


def configure(*overrides: str) -> Config:
    """The checked configuration that these overrides make."""
    with compose.hydra() as context:
        return parse(compose.compose(context, list(overrides)))


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that work in this folder or below it. Linux."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended since
            if Path(os.readlink(path / "cwd")).is_relative_to(folder):
                found.append((path / "cmdline").read_bytes().decode().replace("\0", " "))
    return found


CHANGED = """
import runpy, sys
from ablations.costs import measure
{}
del sys.argv[:2]  # -c and -m
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def measuring(tmp_path_factory, monkeypatch):
    """Sets what the processes that measure this machine do first; those that this process starts."""

    def do(code):
        python = tmp_path_factory.mktemp("bin") / "python"
        python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{CHANGED.format(code)}' \"$@\"\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))

    return do


@pytest.fixture
def briefly(measuring):
    """Processes that measure this machine do so in a few calls, not for seconds."""
    measuring("measure._enough = lambda calls, seconds: len(calls) > measure.FEWEST")


@pytest.fixture
def networks_read_here(monkeypatch):
    """Networks are read in this process, which takes no seconds to start; what is measured is measured in another."""

    def request(kind, configs, pixels=None, **options):
        if kind is Figures:
            return (measure.figures(config, pixels, options.get("target")) for config in configs)
        return elsewhere(kind, configs, pixels, **options)

    elsewhere = calibrate.request
    monkeypatch.setattr(calibrate, "request", request)


@pytest.fixture
def forgotten(monkeypatch):
    """Shortcuts, orders, families and folders of a user's own that a test defines in this process are forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(imports, "imported", [])
    monkeypatch.setattr(searchpath, "locations", [])
    monkeypatch.setattr(searchpath, "chosen", [])
    registries = [(registered, dict(registered)) for registered in (SHORTCUTS, ORDERS, FAMILIES)]
    yield
    for registered, before in registries:
        registered.clear()
        registered.update(before)


# The smallest network: a stem, and a unit of one convolution on which a shortcut may stand. It is compiled in half the
# time of ResNet-8.
ONE_UNIT = ("model=vgg110_digits", "model.layers=[2]", "model.widths=[8]")

# The run of `finished`.
FINISHED = (*ONE_UNIT, "shortcut=identity", "recipe.batch_size=8", "recipe.total_steps=6", "recipe.evaluate_every=3")
FINISHED += ("recipe.bn_statistics=running",)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """The folder in which a small run was made, once for all processes of the tests."""
    place = tmp_path_factory.getbasetemp()
    folder = (place if worker_id == "master" else place.parent) / "finished"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".making")
            making.mkdir()
            done = ablations("train", *FINISHED, cwd=making)
            assert done.returncode == 0, done.stderr
            making.rename(folder)
    return folder


@pytest.fixture
def finished(made_once, tmp_path):
    """A small finished run of the test's own: (folder it was made in, folder of the run)."""
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return tmp_path, next((tmp_path / "runs" / "single").glob("*/seed=0"))
