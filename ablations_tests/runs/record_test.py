import copy
import json
import os

import pytest

from ablations.config.run import from_resolved
from ablations.runs.provenance import commit
from ablations.runs.record import FIELDS, read_record, write_record
from ablations.system.files import write_whole
from ablations_tests.conftest import configure

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
    write_record(tmp_path, dict.fromkeys(FIELDS, 0) | {"config": older})
    assert read_record(tmp_path)["config"] == CONFIG


def test_a_configuration_survives_its_record():
    for overrides in ([], ["model=resnet164", "activation=full_preactivation", "shortcut=dropout", "data=cifar10"]):
        config = configure(*overrides)
        assert from_resolved(config.resolved()) == config


def test_the_commit_is_a_hash_or_unknown():
    name = commit().rstrip("+")
    assert name == "unknown" or len(name) == 40 and json.dumps(int(name, 16))
