"""Where a command's text goes."""

import os
import threading

from ablations.terminal.output import give_out


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "link.md").symlink_to(tmp_path / "file.md")
    give_out("table", tmp_path / "link.md")
    assert (tmp_path / "link.md").is_symlink() and (tmp_path / "file.md").read_text() == "table"


def test_a_pipe_and_a_device_are_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    give_out("table", tmp_path / "pipe")
    reader.join()
    assert read == ["table"] and (tmp_path / "pipe").is_fifo()
    (tmp_path / "null").symlink_to("/dev/null")  # should it be replaced, then only the link
    give_out("table", tmp_path / "null")
    assert not os.path.isfile("/dev/null")
