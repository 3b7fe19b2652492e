"""A record that cannot be read is named with its reason by every command, and nothing is trained over it."""

import json
import shutil

import pytest

from ablations.cli import dispatch
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord
from ablations_tests.conftest import FINISHED, ROOT, configure, here

REASON = "record.json cannot be read: unknown setting model.width"


def spoil(folder: RunFolder) -> bytes:
    """As a later version might have written it, with a setting that this one does not know."""
    record = json.loads(folder.record_file.read_text())
    record["config"]["model"]["width"] = 4
    folder.record_file.write_text(json.dumps(record))
    return folder.record_file.read_bytes()


@pytest.fixture
def runs_dir(tmp_path):
    """Two rows of Table 1 on the digits; of one a record cannot be read, of the other none can."""
    for row in ("identity", "conv1x1"):
        for seed in range(3):
            run = f"table1/{row}/seed={seed}"
            shutil.copytree(ROOT / "results" / "digits" / run, tmp_path / run)
    spoil(RunFolder(tmp_path / "table1" / "identity" / "seed=1"))
    for seed in range(3):
        spoil(RunFolder(tmp_path / "table1" / "conv1x1" / f"seed={seed}"))
    return tmp_path


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv"])
def test_a_table_names_it_and_has_the_others(form, runs_dir, capsys):
    out = runs_dir / "table"
    assert dispatch("table", ["study=table1", f"runs_dir={runs_dir}", f"format={form}", f"out={out}"]) == 0
    text = out.read_text().replace(r"\_", "_")
    if form == "csv":
        text += capsys.readouterr().err
    assert text.count("cannot be read: unknown setting model.width") == 4
    assert "identity/seed=1/" in text and "conv1x1/seed=2/" in text
    rows = {
        line.split(mark)[1 if form == "csv" else 0]: line
        for line in text.splitlines()
        for mark in [","]
        if mark in line
    }
    (conv1x1,) = (line for line in text.splitlines() if "conv1x1" in line and "not readable" in line)
    assert "not run" not in conv1x1 and (form != "csv" or ",2,0," in rows["identity"])


def test_a_figure_names_it(runs_dir, capsys):
    out = runs_dir / "figures"
    dispatch("figure", ["study=table1", "figure=figure3", f"runs_dir={runs_dir}", f"out={out}"])
    assert capsys.readouterr().out.count(REASON) == 4
    text = (out / "table1-figure3.svg").read_text()
    assert "Not readable: conv1x1." in text and "conv1x1: not readable" in text and "conv1x1: not run" not in text


def test_the_report_names_it_and_does_not_ask_to_run_it(runs_dir):
    dispatch("report", [f"runs_dir={runs_dir}", f"out={runs_dir}/report.html"])
    text = (runs_dir / "report.html").read_text()
    section = text[text.index('<section class="study" id="unread">') :]
    assert section.count(REASON) == 4 and "<code>table1/identity/seed=1</code>: " in section
    command = next(line for line in text.splitlines() if "ablations train" in line and "row=" in line)
    assert "plain" in command and "conv1x1" not in command


def test_status_counts_it_as_failed(runs_dir, capsys):
    assert dispatch("status", ["study=table1", f"runs_dir={runs_dir}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("unknown setting model.width") == 4 and "force=true trains the run again in its place" in said
    assert dispatch("status", ["study=table1", f"runs_dir={runs_dir}", "format=json"]) == 1
    [found] = json.loads(capsys.readouterr().out)
    assert (found["counts"]["done"], found["counts"]["failed"]) == (2, 4)


@pytest.mark.parametrize("command", ["eval", "export", "probe", "lesion", "landscape"])
def test_what_needs_the_run_refuses_it(command, runs_dir):
    folder = RunFolder(runs_dir / "table1" / "conv1x1" / "seed=0")
    folder.weights_file.touch()
    more = ["out=weights.safetensors"] if command == "export" else []
    with pytest.raises(UnreadableRecord, match="unknown setting model.width"):
        dispatch(command, [f"run={folder}", *more])


def test_it_is_not_trained_over_and_the_other_runs_are(finished):
    """Of seeds 0, 1 and 2 the first is there, and cannot be read."""
    cwd, path = finished
    folder = RunFolder(path)
    content = spoil(folder)
    line = (*FINISHED, "hydra/launcher=basic")
    planned = here("plan", *line, "seed=0,1", "calibrate=false", cwd=cwd)
    assert planned.returncode == 0, planned.stderr
    said = " ".join(planned.stdout.split())
    assert "2 runs: 1 missing, 1 unreadable" in said and "unknown setting model.width" in said
    done = here("train", *line, "seed=0,1", cwd=cwd)
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("ablations: "))
    assert done.returncode == 2 and REASON in told and "force=true trains the run again in its place" in told
    assert folder.record_file.read_bytes() == content
    assert RunFolder(path.with_name("seed=1")).has_record(), "the other run has gone on"
    done = here("train", *line, "seed=0", "force=true", cwd=cwd)
    assert done.returncode == 0 and folder.has_record(), done.stderr


def test_a_run_in_a_process_of_its_own_refuses_it_too(finished):
    """Where the record came after the command had looked."""
    from dataclasses import replace

    from ablations.launch import entry

    cwd, path = finished
    content = spoil(RunFolder(path))
    line = (*FINISHED, f"runs_dir={cwd}/runs")
    config = replace(configure(*line), row=RunFolder(path).row)
    [error] = entry.run([config], quiet=True)
    assert REASON in str(error) and "force=true" in str(error)
    assert RunFolder(path).record_file.read_bytes() == content
