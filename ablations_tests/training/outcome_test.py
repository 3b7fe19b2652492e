"""What a run leaves in place of another's result: nothing before it is finished itself."""

import pytest

from ablations.runs.folder import RunFolder
from ablations.runs.lines import metrics_so_far
from ablations.system import interrupt
from ablations.training.loop import train
from ablations_tests.conftest import FINISHED, configure

LATER = (*FINISHED, "recipe.momentum=0.5", "recipe.evaluate_every=2", "force=true")


def test_a_finished_run_stays_whole_until_the_one_that_replaces_it_is_finished(finished, monkeypatch):
    folder = RunFolder(finished[1])
    folder.probes_file.write_text('{"step": 0}\n')
    kept = folder.record_file, folder.metrics_file, folder.weights_file, folder.probes_file
    before = [path.read_bytes() for path in kept]
    asked = iter([False, False, True])
    monkeypatch.setattr(interrupt, "stop_requested", lambda _: next(asked))
    with pytest.raises(interrupt.Interrupted):
        train(configure(*LATER), folder.path, quiet=True)
    assert [path.read_bytes() for path in kept] == before
    assert [line["step"] for line in metrics_so_far(folder.path)] == [2]
    monkeypatch.undo()
    train(configure(*LATER), folder.path, quiet=True)
    assert [line["step"] for line in folder.metrics()] == [line["step"] for line in metrics_so_far(folder.path)]
    assert [line["step"] for line in folder.metrics()] == [2, 4, 6] and folder.record()["config"]["recipe"][
        "momentum"
    ] == 0.5
    assert not folder.probes_file.exists() and not list(folder.path.glob("*.new.*"))
