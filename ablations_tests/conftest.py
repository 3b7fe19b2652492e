"""What all tests share. Warnings are errors, rank promotion raises, one thread, no accelerator."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["NPROC"] = "1"
os.environ["XDG_CACHE_HOME"] = str(ROOT / ".pytest_cache" / "xdg")  # compiled programs, shared by all tests
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compile fast: tests run few steps
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".pytest_cache" / "xdg" / "ablations" / "xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ.pop("COLUMNS", None)

import jax  # noqa: E402, after the environment that it reads
import pytest  # noqa: E402

from ablations.config import compose  # noqa: E402
from ablations.config.compose import parse  # noqa: E402
from ablations.config.run import Config  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

COMMAND = [sys.executable, "-m", "ablations"]


def ablations(*arguments: str, cwd: Path, **options) -> subprocess.CompletedProcess:
    """Run the command as a user does."""
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, **options)


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


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """The folder in which a small run was made."""
    folder = tmp_path_factory.mktemp("finished")
    done = ablations("train", "model=resnet20", "recipe.total_steps=6", "recipe.evaluate_every=3", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def finished(made_once, tmp_path):
    """A small finished run of the test's own: (folder it was made in, folder of the run)."""
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return tmp_path, next((tmp_path / "runs" / "single").glob("*/seed=0"))
