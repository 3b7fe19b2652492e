"""docs/shortcuts.md, word for word; and what every command says of a shortcut whose class is not there."""

import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ablations import cli
from ablations_tests.conftest import COMMAND, ONE_UNIT, ROOT, ablations, here

PAGE = ROOT / "docs" / "shortcuts.md"

# Added to the page's commands; the last value of a setting that is given twice counts.
TINY = (*ONE_UNIT, "recipe.batch_size=16", "recipe.total_steps=2", "recipe.evaluate_every=2")
TINY += ("recipe.bn_statistics=running",)
ADDED = {"train": TINY, "plan": (*TINY, "calibrate=false"), "table": ("format=csv",)}
SEEDS = "seeds=2"  # two workers import the file, where the page has three


def blocks(heading: str, language: str) -> list[str]:
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    [section] = [one for one in section if one.startswith(heading)]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def typed(line: str) -> list[str]:
    """A command of the page, made small."""
    program, command, *words = shlex.split(line, comments=True)
    assert program == "ablations"
    words = [SEEDS if word.startswith("seeds=") else word for word in words]
    return [command, *words, *ADDED.get(command, ())]


def write(folder, *texts: str) -> None:
    """Files whose first line is their name."""
    for text in texts:
        path = folder / text.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The folder in which the page's shortcut was planned, trained and tabulated, and what each command printed."""
    folder = tmp_path_factory.mktemp("page")
    write(folder, *blocks("Add a shortcut", "python"))
    printed = {}
    for line in "".join(blocks("Add a shortcut", "bash")).splitlines():
        arguments = typed(line)
        done = ablations(*arguments, cwd=folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        printed[arguments[0]] = done.stdout
    return folder, printed


def test_no_command_of_the_page_is_left_out():
    headings = ("Add a shortcut", "Add an activation order", "Add a configuration file")
    tested = [block for heading in headings for block in blocks(heading, "bash")]
    assert tested == re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_pages_shortcut_is_the_last_row_of_the_table(page):
    folder, printed = page
    assert "halved" in printed["plan"]
    rows = [row["row"] for row in csv.DictReader(printed["table"].splitlines())]
    assert rows[-1].startswith("halved") and rows[-2] == "dropout", printed["table"]
    records = [json.loads(path.read_text()) for path in folder.glob("runs/table1/halved*/seed=*/record.json")]
    assert [record["config"]["shortcut"] for record in records] == [{"name": "halved", "at_dimension_change": True}] * 2
    digest = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    made = {"name": "Halved", "file": str(folder / "mine.py"), "sha256": digest}
    assert [record["shortcut_class"] for record in records] == [made] * 2


@pytest.mark.parametrize("command", [
    "train", "plan calibrate=false", "status", "status seed=0", "table study=table1", "figure study=table1", "report",
    "probe study=table1", "eval run=RUN", "probe run=RUN", "lesion run=RUN", "landscape run=RUN", "export run=RUN out=w",
])  # fmt: skip
def test_a_record_whose_class_is_not_there_is_named_and_kept(page, command, tmp_path, monkeypatch, capsys):
    folder, _ = page
    [made] = folder.glob("runs/table1/halved*/seed=0")
    for run in ("runs/table1/halved/seed=0", "runs/single/default/seed=0"):  # the second is where `train` would train
        shutil.copytree(made, tmp_path / run)
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "mine.py", "mine.py")
    arguments = command.replace("RUN", "runs/table1/halved/seed=0").split()
    monkeypatch.setattr("sys.argv", ["ablations", *arguments])
    with pytest.raises(SystemExit):
        cli.main()
    said = "".join(capsys.readouterr()) + "".join(path.read_text() for path in Path().glob("*.html"))
    assert f"record.json cannot be read: shortcut halved is not defined here: add --import {folder / 'mine.py'}" in said
    assert Path("runs/single/default/seed=0/record.json").read_bytes() == (made / "record.json").read_bytes()


def test_with_its_class_the_record_is_read(page, forgotten):
    """And a report's commands for what is missing import it too."""
    folder, _ = page
    [made] = folder.glob("runs/table1/halved*/seed=0")
    done = here("report", "--import", "mine.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "ablations train study=table1 shortcut=halved --import mine.py" in (folder / "report.html").read_text()
    done = here("eval", f"run={made}", "--import=mine.py", cwd=folder)
    assert done.returncode == 0 and "its record: test error" in done.stdout, done.stderr


def test_the_pages_orders(tmp_path, forgotten):
    write(tmp_path, *blocks("Add an activation order", "python"))
    of_settings, of_a_name = "".join(blocks("Add an activation order", "bash")).splitlines()
    done = here("train", "--cfg", "job", *typed(of_settings)[1:], cwd=tmp_path)
    assert done.returncode == 0 and "after_addition: []" in done.stdout, done.stderr
    done = here("train", "hydra/launcher=basic", *typed(of_a_name)[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("runs/single/activation=relu_first*/seed=0/record.json")
    order = json.loads(path.read_text())["config"]["activation"]
    assert order == {
        "name": "relu_first", "before": ["relu"], "between": ["bn", "relu"], "after": ["bn"], "after_addition": ["relu"],
    }  # fmt: skip


def test_the_pages_configuration_file(tmp_path, forgotten):
    write(tmp_path, *blocks("Add a configuration file", "yaml"))
    for line in "".join(blocks("Add a configuration file", "bash")).splitlines():
        command, *words = typed(line)
        done = here("train", "--cfg", "job", *words[: -len(TINY)], cwd=tmp_path)
        assert done.returncode == 0 and "total_steps: 1760" in done.stdout, done.stderr


def test_completion_and_help_know_it(tmp_path):
    write(tmp_path, *blocks("Add a shortcut", "python"))
    line = "ablations train --import mine.py shortcut=h"
    environment = os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    query = [*COMMAND, "-sc", "query=bash"]
    done = subprocess.run(query, env=environment, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout.split() == ["shortcut=halved"]
    done = ablations("train", "--help", "--import", "mine.py", cwd=tmp_path)
    assert "halved" in done.stdout.partition("activation")[0], done.stderr


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["table", "--import"], "--import: a file is missing, such as --import mine.py"),
        (["table", "--import", "nowhere.py"], "--import nowhere.py: No such file or directory"),
        (["table", "--import", "no.where"], "--import no.where: there is no such module; name a file with its .py"),
        (["train", "shortcut=halved"], "For a shortcut of your own add --import FILE.py"),
        (
            ["data", "prepare", "data=digits", "--config-dir", "nowhere"],
            "--config-dir nowhere: there is no such folder",
        ),
        (["train", "hydra.searchpath=[file:///nowhere]"], "file:///nowhere: there is no such folder"),
        (["plan", "hydra.searchpath=[pkg://no.where]"], "pkg://no.where: there is no such package"),
        (["bench", "hydra.searchpath=nowhere"], "hydra.searchpath=nowhere: give a list, as hydra.searchpath=[file:///"),
        (
            ["status", "--config-dir", "taken"],
            "--config-dir taken: the project has a file recipe/paper.yaml of its own",
        ),
    ],
)
def test_one_clear_message(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "taken" / "recipe").mkdir(parents=True)
    (tmp_path / "taken" / "recipe" / "paper.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ablations", *arguments])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("ablations: ") and message in said and said.count("\n") == 1
