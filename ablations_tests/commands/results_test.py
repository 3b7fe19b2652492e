"""What is committed under results/: tables that are those of their records, and records of a recipe that is the code's."""

import re
import shutil

import pytest

from ablations.config import compose, jobs
from ablations.config.run import Config
from ablations.runs.folder import RunFolder, read_records, run_folders
from ablations_tests.conftest import ROOT, here

RESULTS = ROOT / "results"
STUDIES = sorted(path.name for path in (RESULTS / "digits").iterdir())


def command_of(name: str) -> list[str]:
    """The command of `make results` that writes a file of results/, without out=."""
    stem, _, suffix = name.partition(".")
    form = f"format={'markdown' if suffix == 'md' else suffix}"
    if name.startswith("shortcuts-resnet20-cifar10"):
        return ["table", "study=table1", "recipe.total_steps=400", "runs_dir=results/cifar10", form]
    if name.startswith("table1-short-cifar10"):
        return ["table", "study=table1", "recipe=short", "precision=bf16", "runs_dir=results/cifar10", form]
    study, kind = stem.split("-")
    command = ["critical", "probes=results/why"] if kind == "critical" else ["table"]
    return [*command, f"study={study}", "runs_dir=results/digits", form]


WRITTEN = sorted(path.name for pattern in ("*-*.md", "*-*.csv") for path in RESULTS.glob(pattern))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_table_is_that_of_its_records_byte_by_byte(name):
    shown = here(*command_of(name), cwd=ROOT)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == (RESULTS / name).read_text(), "to be written anew by: make results"


def test_a_changed_record_changes_its_table(tmp_path):
    shutil.copytree(RESULTS / "digits" / "table1", tmp_path / "table1")
    [(path, error), *_] = [
        (record["folder"].path / "record.json", record["test_error_percent"])
        for record in read_records(tmp_path, "table1")[0]
    ]
    path.write_text(path.read_text().replace(f'"test_error_percent": {error}', '"test_error_percent": 33.25'))
    shown = here("table", "study=table1", f"runs_dir={tmp_path}", "format=csv", cwd=ROOT)
    assert "33.2500" in shown.stdout and shown.stdout != (RESULTS / "table1-digits.csv").read_text()


def todays(study: str) -> dict[str, Config]:
    """What the code would train today, by the folder of each row."""
    digits = ("data=digits", "recipe=digits") if study != "unet" else ()  # which chooses masks itself
    with compose.hydra() as context:
        planned = jobs.plan(context, [f"study={study}", "seeds=1", *digits])
    return {RunFolder.of(job.config).path.parent.name: job.config for job in planned}


def test_the_page_says_which_records_are_of_an_older_recipe_than_the_codes():
    older = set()
    for study in STUDIES:
        configs = todays(study)
        for folder in run_folders(RESULTS / "digits", study):
            record = folder.record()
            config = configs.get(folder.path.parent.name)
            resolved = record["config"] | {"seed": 0} if record else {}
            if config is None or not config.matches(resolved):
                older.add(study)
    [line] = re.findall(
        r"^Of an older recipe than the code's: (.*), but what is in `why/`\.$",
        (RESULTS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert set(re.findall(r"`(\w+)`", line)) == older
