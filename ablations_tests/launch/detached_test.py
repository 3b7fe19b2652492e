"""A process is started only if it can be noted that it is there."""

import sys

import pytest

from ablations.config.jobs import Job
from ablations.errors import UserError
from ablations.launch import detached
from ablations.runs import submitted
from ablations.runs.folder import RunFolder
from ablations_tests.conftest import configure, processes_in


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose command does nothing for a minute."""
    monkeypatch.chdir(tmp_path)
    command = tmp_path / "command"
    command.write_text("#!/bin/sh\nexec sleep 60\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command))
    job = Job(configure(), ())
    RunFolder.of(job.config).study_folder.mkdir(parents=True)
    return job


def sleeping(folder):
    return [line for line in processes_in(folder) if line.startswith(("sleep", "/bin/sh"))]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_process_trains_that_nobody_was_told_of(job, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(submitted, "write_whole", full)
        with pytest.raises(OSError, match="No space left"):
            detached.start([job])
    assert sleeping(tmp_path) == []
    (RunFolder.of(job.config).study_folder / submitted.FILE).write_text("{")
    monkeypatch.setattr(detached.subprocess, "Popen", lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(UserError, match="is damaged"):
        detached.start([job])
