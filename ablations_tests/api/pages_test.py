"""docs/python.md and docs/tour.ipynb do what they say: the page's examples run, the notebook runs in a real kernel."""

import json
import re
from pathlib import Path

import ablations as ab
from ablations.networks import registry
from ablations_tests.api.kernel import kernel
from ablations_tests.conftest import ROOT

PAGE, TOUR = ROOT / "docs" / "python.md", ROOT / "docs" / "tour.ipynb"

# The notebook's words, and what a test has in their places: few steps, shallow networks, two units to train.
SMALL = {
    "STEPS, DEPTH, DEEP = 300, 20, 110": "STEPS, DEPTH, DEEP = 2, 14, 8",
    '"model": "resnet20",\n    "model.depth": DEPTH,': '"model": "vgg110_digits", "model.layers": [5], "model.widths": [8],',
}


def cells() -> list[dict]:
    return json.loads(TOUR.read_text())["cells"]


def test_every_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, blocks = (
        {"__name__": "page"},
        re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE),
    )
    assert len(blocks) > 4
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"docs/python.md, example {number}", "exec"), names)
    finally:
        registry.SHORTCUTS.pop("halved", None)
    assert names["frame"]["shortcut"].tolist() == ["exclusive_gating"] and names["logits"].shape == (3, 10)
    assert names["halved"].shortcut.name == "halved"
    assert (tmp_path / "curves.svg").is_file() and (tmp_path / "probe.svg").is_file()


def test_the_page_names_all_that_is_offered():
    page, shown = PAGE.read_text(), {"Figure", "Measurement", "Run", "Runs", "Table", "Trained"}  # which calls return
    for name in set(ab.__all__) - shown:
        assert re.search(rf"(?<!\w){name}(?!\w)", page), name


def test_the_tour_runs_in_a_kernel_from_its_first_cell_to_its_last(tmp_path):
    sources = ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]
    assert [sum(words in source for source in sources) for words in SMALL] == [1, 1]
    with kernel(tmp_path) as notebook:
        for source in sources:
            for words, small in SMALL.items():
                source = source.replace(words, small)
            notebook.run(source)
        assert notebook.run("run.record['row'].partition(',')[0], run.record['steps']") == "('halved', 2)"
        assert "Halved" in notebook.run("print(run.record['shortcut_class']['name'])")
    assert len(list(tmp_path.glob("runs/table1/*/seed=0/record.json"))) == 4


def test_the_outputs_of_the_tour_are_kept_whole_and_small():
    assert TOUR.stat().st_size < 300_000
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run once, from the top"
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/svg+xml") >= 3 and kinds.count("text/html") >= 3
    for path in (Path.home(), ROOT):
        assert str(path) not in TOUR.read_text(), "nothing of the machine that it was run on"
