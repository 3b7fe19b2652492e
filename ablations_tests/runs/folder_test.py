import copy
import json
import pickle
from pathlib import Path

import pytest

from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations.runs.record import UnreadableRecord, write_record
from ablations_tests.conftest import BLANK, ROOT, configure

CONFIG = configure().resolved()

RECORD = BLANK | {"status": "done", "config": CONFIG}

COMMITTED = sorted((ROOT / "results").rglob("record.json"))


def run_folder(tmp_path, row="identity", seed=0, record=RECORD) -> RunFolder:
    folder = RunFolder(tmp_path / "table1" / row / f"seed={seed}")
    folder.path.mkdir(parents=True)
    write_record(folder.path, record)
    return folder


def test_a_folder_is_named_by_its_configuration_and_says_so_itself():
    folder = RunFolder.of(configure("seed=3", "runs_dir=elsewhere", "study=table1", "row=identity"))
    assert folder == RunFolder(Path("elsewhere/table1/identity/seed=3"))
    assert (folder.study, folder.row, folder.seed, folder.name) == ("table1", "identity", 3, "identity/seed=3")
    assert folder.study_folder == Path("elsewhere/table1") and f"{folder}" == str(Path(folder)) == str(folder.path)


def test_the_folders_of_a_study_and_of_all(tmp_path):
    made = [run_folder(tmp_path, row, seed) for row in ("dropout", "identity") for seed in (0, 1)]
    other = RunFolder(tmp_path / "table2" / "original" / "seed=0")
    other.path.mkdir(parents=True)
    (tmp_path / "table1" / "identity" / "seed=new").mkdir()
    (tmp_path / "table1" / "identity" / "seed=7").touch()
    assert run_folders(tmp_path, "table1") == made and run_folders(tmp_path) == [*made, other]
    assert run_folders(tmp_path / "none") == run_folders(tmp_path, "none") == []
    assert made[0].is_begun and not other.is_begun


def test_every_committed_record_is_read():
    """With the settings that it has, in their order; younger ones have their defaults."""
    assert len(COMMITTED) > 100
    for path in COMMITTED:
        written, read = json.loads(path.read_text()), RunFolder(path.parent).record()
        assert {key: value for key, value in read.items() if key != "config"} == {
            key: value for key, value in written.items() if key != "config"
        }
        assert [key for key in read["config"] if key in written["config"]] == [*written["config"]]
        assert read["config"]["matmul_precision"] == "default", "what there was before there was a choice"
        for group, settings in written["config"].items():
            if isinstance(settings, dict):
                assert [(key, value) for key, value in read["config"][group].items() if key in settings] == [
                    *settings.items()
                ], f"{path}: {group}"
            else:
                assert read["config"][group] == settings
        assert from_resolved(read["config"]).resolved() == read["config"], "what has been read is not younger"


def without(*keys):
    record = copy.deepcopy(RECORD)
    *groups, last = keys
    within = record
    for group in groups:
        within = within[group]
    del within[last]
    return record


def changed(group, **settings):
    return RECORD | {"config": CONFIG | {group: CONFIG[group] | settings}}


@pytest.mark.parametrize(
    "content,reason",
    [
        ("", "it is not JSON, perhaps cut short"),
        ('{"schema_version": 1, "st', "it is not JSON, perhaps cut short"),
        ("[]", "it is not a record"),
        ({"schema_version": 99}, "it has schema version 99, and this version of ablations reads 1"),
        (without("steps"), "it has no steps"),
        (without("config"), "it has no config"),
        (RECORD | {"test_error_percent": None}, "its test_error_percent is not a number: None"),
        (RECORD | {"wall_seconds": "9 s"}, "its wall_seconds is not a number: '9 s'"),
        (RECORD | {"device": None}, "its device is not text: None"),
        (RECORD | {"config": []}, "its config is not a list of names and values: []"),
        (without("config", "recipe"), "the settings recipe are missing"),
        (without("config", "model", "depth"), "the setting model.depth is missing"),
        (changed("model", width=4), "unknown setting model.width"),
        (RECORD | {"config": CONFIG | {"tempo": 1}}, "unknown setting tempo"),
        (changed("shortcut", name="halved"), "shortcut halved is not defined here: add --import"),
        (changed("shortcut", tilt=1.0), "unknown setting shortcut.tilt"),
        (changed("recipe", schedule="zigzag"), "recipe.schedule=zigzag: legal are step, cosine"),
        (changed("model", depth="deep"), "a setting of model has a value of the wrong type"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_reason(content, reason, tmp_path):
    folder = run_folder(tmp_path)
    if isinstance(content, str):
        folder.record_file.write_text(content)
    else:
        write_record(folder.path, content)
    with pytest.raises(UnreadableRecord) as error:
        folder.record()
    assert reason in error.value.reason and error.value.path == folder.record_file
    assert str(error.value) == f"{folder.record_file} cannot be read: {error.value.reason}"
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value), "it goes from one process to another"
    with pytest.raises(UnreadableRecord):
        folder.finished()


def test_what_is_missing_is_not_unreadable(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.record() is None and RunFolder(tmp_path / "none").record() is None
    with pytest.raises(UserError, match="there is no finished run in this folder"):
        folder.finished()
    with pytest.raises(UserError, match="its weights.safetensors is gone"):
        run_folder(tmp_path).finished()


def test_the_records_of_a_study_and_what_is_none(tmp_path):
    good = [run_folder(tmp_path, "identity", seed, RECORD | {"seed": seed}) for seed in (0, 1)]
    damaged = run_folder(tmp_path, "dropout", 0)
    damaged.record_file.write_text("{")
    good[1].record_file.with_name("metrics.jsonl").write_text('{"step": 1}\n{"st')
    records, unreadable = read_records(tmp_path, "table1")
    assert [(record["folder"], record["seed"]) for record in records] == [(good[0], 0), (good[1], 1)]
    assert [error.path for error in unreadable] == [damaged.record_file]
    assert good[1].metrics() == [{"step": 1}] and good[0].metrics() == []


def test_a_failure_in_other_letters_is_still_read(tmp_path):
    folder = RunFolder(tmp_path)
    folder.failure_file.write_bytes(b"/data/caf\xe9: Permission denied\n")
    assert folder.failure() == "/data/caf\N{REPLACEMENT CHARACTER}: Permission denied"
