import copy
import os
import subprocess

import pytest

from ablations.config.run import from_resolved
from ablations.runs import provenance
from ablations.runs.provenance import commit
from ablations.runs.record import read_record, setting_at, short_commit, write_record
from ablations.system.files import write_whole
from ablations_tests.conftest import BLANK, ROOT, configure

CONFIG = configure().resolved()


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new" * 1000)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"], "nothing half-written stays behind"


def test_a_setting_younger_than_a_record_has_its_default_there(tmp_path):
    older = copy.deepcopy(CONFIG)
    del older["data"]["split"], older["recipe"]["label_smoothing"]
    write_record(tmp_path, BLANK | {"config": older})
    assert read_record(tmp_path)["config"] == CONFIG


def test_a_configuration_survives_its_record():
    for overrides in ([], ["model=resnet164", "activation=full_preactivation", "shortcut=dropout", "data=cifar10"]):
        config = configure(*overrides)
        assert from_resolved(config.resolved()) == config


def git(folder, *arguments: str) -> str:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *author, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_setting_is_found_by_its_dotted_key():
    assert setting_at(CONFIG, "model.depth") == 110 and setting_at(CONFIG, "shortcut") == CONFIG["shortcut"]
    assert setting_at(CONFIG, "shortcut.bias") is setting_at(CONFIG, "seed.0") is None


def test_a_short_commit_still_says_whether_the_source_was_changed():
    assert short_commit({"commit": "0123456789abcdef"}) == "0123456789ab"
    assert short_commit({"commit": "0123456789abcdef+"}) == "0123456789ab+"
    assert short_commit({"commit": "unknown"}) == "unknown"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the source is no checkout")
def test_a_checkout_names_its_commit():
    assert commit().removesuffix("+") == git(ROOT, "rev-parse", "HEAD")


def test_the_commit_is_of_our_source_and_says_where_it_was_changed(tmp_path, monkeypatch):
    """In a repository that has the package as ours has it; one that merely lies around an installed copy is another's."""
    file = tmp_path / "ablations" / "runs" / "provenance.py"
    file.parent.mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(file))
    for path in (file, tmp_path / "conf" / "config.yaml", tmp_path / "notes.md"):
        path.write_text("1")
    assert commit() == "unknown", "there is no repository"
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "conf", "notes.md")
    git(tmp_path, "commit", "--quiet", "--message", "without the package")
    assert commit() == "unknown", "the repository does not have this file"
    git(tmp_path, "add", "ablations")
    git(tmp_path, "commit", "--quiet", "--message", "with the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "notes.md").write_text("2")
    assert len(head) == 40 and commit() == head, "what is changed decides no result"
    (tmp_path / "conf" / "config.yaml").write_text("2")
    assert commit() == f"{head}+"
