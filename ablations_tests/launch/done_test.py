"""When a run is done for who waits for another process that works on it."""

import threading
import time
from dataclasses import replace

import pytest

from ablations.errors import UserError
from ablations.launch import done
from ablations.runs.folder import RunFolder
from ablations.runs.record import write_record
from ablations.system import lock
from ablations_tests.conftest import BLANK, configure


@pytest.fixture
def config(tmp_path):
    config = configure(f"runs_dir={tmp_path}")
    RunFolder.of(config).path.mkdir(parents=True)
    return config


def finish(config):
    fields = BLANK | {"status": "done"}
    write_record(RunFolder.of(config).path, fields | {"config": config.resolved()})


@pytest.mark.parametrize("force", [False, True])
def test_what_another_process_has_finished_meanwhile_is_done(config, force):
    config, before = replace(config, force=force), done.version(config)
    taken = threading.Event()

    def other():
        with lock.hold(RunFolder.of(config).path):
            taken.set()
            time.sleep(0.2)
            finish(config)

    thread = threading.Thread(target=other)
    thread.start()
    taken.wait(60)
    assert done.wait_for_others(config, before)
    thread.join()


def test_a_record_that_was_there_before_is_not_what_force_waits_for(config):
    finish(config)
    assert done.is_done(config, done.version(config)) and done.record_of(config)
    forced = replace(config, force=True)
    before = done.version(forced)
    assert not done.is_done(forced, before) and done.record_of(forced) is None
    finish(config)
    assert done.is_done(forced, before)


def test_a_record_of_another_configuration_is_not_this_run_s(config):
    other = replace(config, recipe=replace(config.recipe, momentum=0.5), row=config.row)
    assert RunFolder.of(other) == RunFolder.of(config)
    before = done.version(config)
    finish(other)
    assert not done.is_done(config, before) and not done.is_done(replace(config, force=True), before)
    with pytest.raises(UserError, match=r"another configuration \(recipe.momentum: 0.5 there, 0.9 here\)"):
        done.record_of(config)
    RunFolder.of(config).record_file.write_text("{")
    assert not done.is_done(config, before)
