"""Searches of one name at the same time."""

import threading
import time

from ablations.errors import UserError
from ablations.launch import search_file
from ablations.launch.search import _place
from ablations.launch.search_file import SearchFile
from ablations.launch.trials import Trials


def test_two_searches_of_one_name_lose_no_trial(tmp_path, monkeypatch):
    file = SearchFile(tmp_path / "mine.yaml", common=(), seeds=1, chooses=False)
    rows = [search_file.row([f"shortcut.bias={bias}"]) for bias in (-5, -6)]
    planned = {row.name: UserError("no result") for row in rows}
    first, second = (Trials(None, file, frozenset(), [], ["error"], dict(planned)) for _ in rows)
    reads = threading.Event()

    def found():
        reads.set()
        time.sleep(0.2)
        return []

    monkeypatch.setattr(first, "found", found)
    other = threading.Thread(target=lambda: first._note(rows[:1]))
    other.start()
    assert reads.wait(60)
    second._note(rows[1:])
    other.join()
    assert {row.name for row in file.rows()} == {row.name for row in rows}


def test_a_search_leaves_the_folder_of_another_one(tmp_path):
    folder = tmp_path / "mine"
    with _place(folder, folder) as first:
        with _place(folder, folder) as second:
            assert first and not second
        assert (folder / "lock").exists(), "the first one holds it"
    assert not folder.exists()
