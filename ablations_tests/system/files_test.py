"""Files that are written whole."""

import os
import stat

import pytest

from ablations.system.files import write_whole


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_who_may_read_a_file_is_for_the_umask_to_say(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    assert os.listdir(tmp_path) == ["file"]
