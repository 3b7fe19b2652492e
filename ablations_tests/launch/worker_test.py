"""What a process does in the folder of a run before it trains."""

import contextlib
import errno
import os
from dataclasses import replace

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ablations.launch import worker
from ablations.runs.folder import RunFolder
from ablations.runs.record import write_record
from ablations_tests.conftest import BLANK, configure


@pytest.mark.parametrize("output_subdir,stays", [(".hydra", True), (None, False)])
def test_a_run_that_replaces_another_keeps_no_configuration_of_it(output_subdir, stays, tmp_path, monkeypatch):
    config = configure(f"runs_dir={tmp_path}", "force=true")
    folder = RunFolder.of(config)
    folder.hydra.mkdir(parents=True)
    job = OmegaConf.create({"output_subdir": output_subdir, "runtime": {"output_dir": str(folder)}})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: job)
    with contextlib.ExitStack() as locks:
        assert worker._ours([config], locks, 0.0) == ([0], [None])
    assert folder.hydra.exists() == stays


def test_a_finished_run_of_another_configuration_is_not_trained_over(tmp_path):
    """Nor if it was finished after the command had looked: a job of a queue begins hours later."""
    config = configure(f"runs_dir={tmp_path}")
    folder = RunFolder.of(config)
    folder.path.mkdir(parents=True)
    fields = BLANK | {"status": "done"}
    other = replace(config, recipe=replace(config.recipe, momentum=0.5))
    write_record(folder.path, fields | {"config": other.resolved()})
    with contextlib.ExitStack() as locks:
        ours, [error] = worker._ours([config], locks, 0.0)
    assert ours == [] and "holds a run of another configuration (recipe.momentum: 0.5 there" in str(error)


@pytest.mark.parametrize(
    "number,name,told",
    [
        (
            errno.ENOSPC,
            None,
            "{folder} cannot be written: No space left on device; what was finished is kept. Make room",
        ),
        (errno.EROFS, "record.json", "{folder} cannot be written: Read-only file system"),
        (errno.EIO, "/data/images", "/data/images: Input/output error"),
        (errno.ENOMEM, None, "Cannot allocate memory; what was finished is kept. Mend that"),
    ],
)
def test_a_folder_is_to_blame_for_errors_of_disks_only(number, name, told, tmp_path):
    error = OSError(number, os.strerror(number), *([str(tmp_path / name)] if name else []))
    assert str(worker._reported(error, RunFolder(tmp_path))).startswith(told.format(folder=tmp_path))
