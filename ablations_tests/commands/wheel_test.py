"""The package as others install it: a wheel, without the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from ablations import __version__
from ablations_tests.conftest import ROOT

# What of the checkout goes where in the wheel.
FOLDERS = {
    "ablations": ("ablations", ("**/*.py", "py.typed", "**/*.csv", "**/*.yaml", "**/*.html", "**/*.css", "**/*.js")),
    "conf": ("ablations/conf", ("*.py", "**/*.yaml")),
    "sweeps": ("ablations/sweeps", ("*.py", "*.json", "**/*.yaml")),
    "results": ("ablations/results", ("*.py", "paper.csv", "published.csv")),
}

ROW = ("study=demo", "row=identity_110", "model.depth=8", "recipe.total_steps=2", "recipe.evaluate_every=2")
ROW += ("recipe.bn_statistics=running",)


def run(*arguments, **options) -> str:
    """What a command prints; it must end well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, env=environment, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, for a build leaves its own folders in the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for outside in FOLDERS:
        for path in ROOT.glob(f"{outside}/*"):
            if path.is_file():
                (folder / outside).mkdir(exist_ok=True)
                shutil.copy(path, folder / outside)
            elif outside != "results" and path.name != "__pycache__":
                shutil.copytree(path, folder / path.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel, and with what this one has but for its link to the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder}))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    # A folder that a .pth file names has none of its own .pth files read: the editable install's is one.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (purelib / "others.pth").write_text("\n".join(others))
    return folder / "bin"


def test_every_module_and_data_file_is_in_the_wheel(wheel):
    expected = {
        f"{inside}/{path.relative_to(ROOT / outside).as_posix()}"
        for outside, (inside, patterns) in FOLDERS.items()
        for pattern in patterns
        for path in (ROOT / outside).glob(pattern)
    }
    assert expected > {
        "ablations/data/digits_split.csv",
        "ablations/sweeps/study.schema.json",
        "ablations/conf/config.yaml",
        "ablations/results/paper.csv",
    }
    with ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if not name.startswith(f"ablations-{__version__}.dist-info/")}
    assert there == expected


def test_a_row_and_its_table_without_the_checkout(installed, tmp_path):
    where = run(installed / "python", "-c", "import ablations; print(ablations.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parent), where
    run(installed / "ablations", "train", *ROW, cwd=tmp_path)
    (path,) = tmp_path.glob("runs/demo/identity*/seed=0/record.json")
    record = json.loads(path.read_text())
    assert record["status"] == "done" and record["steps"] == 2
    assert record["commit"] == "unknown", "there is no repository here"
    assert record["versions"]["ablations"] == __version__
    table = run(installed / "ablations", "table", "study=demo", "format=csv", cwd=tmp_path).splitlines()
    assert table[1].startswith("demo,identity_20,identity,20 layers,8.75,"), "the paper's figure is in the wheel"
    assert f"{record['test_error_percent']:.4f}" in table[2]


def test_the_pythons_that_it_says_are_those_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["suite"]["strategy"]["matrix"]["python"]
    said = [text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text]
    assert said == tested and project["requires-python"] == f">={tested[0]}"
