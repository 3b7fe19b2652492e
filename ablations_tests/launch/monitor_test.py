"""What a sweep shows of its runs."""

from ablations.launch.monitor import _progress
from ablations.runs.folder import RunFolder
from ablations.system import lock


def test_a_run_that_was_killed_is_not_shown_as_running(tmp_path):
    folder = RunFolder(tmp_path)
    folder.progress_file.write_text(
        '{"step": 3, "total_steps": 6, "train_loss": 1.5, "train_images_per_second": 100.0, "seconds_left": null}'
    )
    assert _progress(folder) == ""
    with lock.hold(tmp_path):
        assert _progress(folder) == "step 3/6  loss 1.500  100 images/s"
