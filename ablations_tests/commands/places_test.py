"""Where commands run: folders that may not be read or written, a home, a temporary or a working folder that is not there."""

import contextlib
import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from ablations import cli
from ablations.config import compose, jobs
from ablations.data import catalogue, tfds
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.launch import launcher
from ablations.runs.folder import RunFolder
from ablations.system import files, machine
from ablations_tests.conftest import FINISHED, ROOT, bound_by_permissions, here


@contextlib.contextmanager
def closed(path: Path, mode: int = 0o500):
    """Within this block, permissions of this path bind."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        with bound_by_permissions():
            yield
    finally:
        path.chmod(before)


def one_message(done) -> str:
    """What a command says that refuses."""
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("ablations: "), done.stderr
    return lines[0]


@pytest.fixture
def runs_dir(tmp_path):
    """Two rows of Table 1 on the digits."""
    for row in ("identity", "conv1x1"):
        shutil.copytree(ROOT / "results" / "digits" / "table1" / row, tmp_path / "table1" / row)
    return tmp_path


def test_a_launcher_writes_where_the_runs_are(tmp_path):
    """Not into the working folder, which may be read-only."""
    words = [f"runs_dir={tmp_path}", "hydra/launcher=basic"]
    with compose.hydra() as context:
        master, _ = launcher.chosen_launcher(context, jobs.plan(context, words), words)
    assert master.hydra.sweep.dir == str(tmp_path)


def test_runs_that_cannot_be_kept_are_one_message(tmp_path):
    with closed(tmp_path):
        assert "cannot be made: Permission denied; choose another runs_dir=" in one_message(here("train", cwd=tmp_path))


@pytest.mark.parametrize("part", ["lock", ".hydra", ""])
def test_what_another_user_holds_is_named_before_anything_is_trained(part, finished):
    cwd, folder = finished
    held = folder / part
    with closed(held, 0o500 if held.is_dir() else 0o400):
        said = one_message(here("train", *FINISHED, "force=true", "hydra/launcher=basic", cwd=cwd))
    assert f"{held.relative_to(cwd)} cannot be written to; choose another runs_dir=" in said
    assert RunFolder(folder).has_record()


def test_runs_that_may_only_be_read_are_shown(runs_dir):
    out = runs_dir / "out"
    out.mkdir()
    with closed(runs_dir / "table1"), closed(runs_dir / "table1" / "identity" / "seed=0"):
        assert here("table", "study=table1", f"runs_dir={runs_dir}", cwd=out).returncode == 0
        assert here("status", "study=table1", f"runs_dir={runs_dir}", cwd=out).returncode == 0


@pytest.mark.parametrize("command", ["table", "status", "report", "figure", "probe", "train"])
def test_runs_that_may_not_be_read_are_one_message(command, runs_dir):
    with closed(runs_dir / "table1", 0):
        said = one_message(here(command, "study=table1", f"runs_dir={runs_dir}", cwd=runs_dir))
    assert f"{runs_dir}/table1 cannot be read: Permission denied" in said


def test_a_row_that_may_not_be_read_is_named_and_the_others_are_shown(runs_dir):
    with closed(runs_dir / "table1" / "conv1x1", 0):
        done = here("table", "study=table1", f"runs_dir={runs_dir}", "format=markdown", cwd=runs_dir)
    assert "table1/conv1x1/seed=*/record.json cannot be read: Permission denied" in done.stdout
    assert done.returncode == 0 and "| not readable |" in done.stdout


def test_a_measurement_that_could_not_be_kept_is_not_made(finished, monkeypatch):
    from ablations.analysis import measurement

    monkeypatch.setattr(measurement, "_measure", None)
    cwd, folder = finished
    with closed(folder):
        assert "cannot be written to; choose another folder with out=" in one_message(
            here("probe", f"run={folder}", cwd=cwd)
        )


def test_an_account_without_a_home_has_the_root_as_its_home(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert files.cache() == Path("/.cache/ablations") and files.expanded("~") == Path("/")
    assert files.expanded("a/~") == Path("a/~") and files.expanded("~nobody-here/a") == Path("~nobody-here/a")


def test_a_data_set_that_may_not_be_read_is_named(tmp_path):
    config = DataConfig("cifar10", data_dir=str(tmp_path))
    info = tmp_path / "cifar10" / "3.0.2" / "dataset_info.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"fileFormat": "array_record"}')
    record = info.with_name("cifar10-train.array_record-00000-of-00001")
    record.touch()
    for path in (tmp_path / "cifar10", info.parent, info):
        with (
            closed(path, 0),
            pytest.raises(UserError, match=f"^{tmp_path}/cifar10.*: Permission denied; choose another"),
        ):
            tfds.find(config)
    with (
        closed(record, 0),
        pytest.raises(UserError, match=f"^data=cifar10 cannot be read: {record}: Permission denied"),
    ):
        catalogue.load(config)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(0o500), Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_place_for_locks_that_is_not_ours_is_one_message(make, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(machine, "gpus", lambda: ["0", "1"])
    make(tmp_path / f"ablations-{os.getuid()}")
    with (
        bound_by_permissions(),
        pytest.raises(UserError, match=r"cannot be used to note which GPUs are taken: .*TMPDIR="),
    ):
        machine.take(1)
    assert not list(tmp_path.glob("ablations-*/*"))


def test_no_temporary_folder_is_one_message(tmp_path, monkeypatch):
    def none():
        raise FileNotFoundError(2, f"No usable temporary directory found in ['{tmp_path}']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr("ablations.costs.kept.read", lambda *_: None)
    said = one_message(here("plan", "model.depth=8", "calibrate=false", cwd=tmp_path))
    assert said.endswith("name another with TMPDIR=...")


def test_a_working_folder_that_is_gone_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ablations", "plan", "model.depth=8"])
    (tmp_path / "gone").mkdir()
    with contextlib.chdir(tmp_path / "gone"):
        (tmp_path / "gone").rmdir()
        with pytest.raises(SystemExit, match="2"):
            cli.main()
        os.chdir(tmp_path)
    assert capsys.readouterr().err == "ablations: the working folder is gone: cd to another one\n"


def test_a_path_that_no_text_can_hold_is_written(tmp_path):
    files.write_whole(tmp_path / ("x" * 250), f"{os.fsdecode(b'b' + bytes([255]))}")
    assert (tmp_path / ("x" * 250)).read_text() == r"b\udcff"
