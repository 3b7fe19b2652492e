"""The workspace of a study: its specification, and saving it."""

import json
import os

import pytest

from ablations.config import study
from ablations.config.logger import Wandb
from ablations.reports import workspace
from ablations_tests.conftest import ablations, here
from ablations_tests.loggers.mirror_test import without_login  # noqa: F401, a fixture
from ablations_tests.wandb_server import serve

# wandb-workspaces still writes for pydantic 1
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style")

# (section, title, metric, of a row's runs, spread, log axis, id)
PANELS = [
    ("Test error", "test error (%), last evaluation: mean over seeds ± standard deviation", "test_error_percent", "mean", "stddev", False, "057c5c3e30b"),
    ("Test error", "test error (%): mean over seeds ± standard deviation", "test_error_percent", "mean", "stddev", False, "058e4fbf284"),
    ("Test error", "test error (%): mean over seeds, least to greatest", "test_error_percent", "mean", "minmax", False, "9c14db4125c"),
    ("Training", "training loss: mean over seeds, least to greatest", "train_loss", "mean", "minmax", True, "8dbacd442f6"),
    ("Training", "training error (%): mean over seeds ± standard deviation", "train_error_percent", "mean", "stddev", False, "86403d8a6aa"),
    ("Training", "test loss: mean over seeds, least to greatest", "test_loss", "mean", "minmax", True, "48ec8ae4a0a"),
]  # fmt: skip


def panels(specification):
    for section in specification["spec"]["section"]["panelBankConfig"]["sections"]:
        for panel in section["panels"]:
            of = panel["config"]
            assert of["groupBy"] == "group" and of["aggregate"]
            yield (
                section["name"], of["chartTitle"], *of["metrics"], of["groupAgg"], of["groupArea"],
                of.get("yLogScale", False), panel["__id__"],
            )  # fmt: skip


def test_the_specification_is_the_same_each_time():
    made = workspace.specification(workspace.workspace(study.load("table1"), Wandb(mode="offline")))
    assert list(panels(made)) == PANELS
    runs = made["spec"]["section"]["runSets"][0]
    assert runs["grouping"] == [{"section": "run", "name": "group"}]
    chosen = [(one["key"]["section"], one["key"]["name"], one["value"]) for one in runs["filters"]["filters"]]
    assert chosen == [("config", "study", "table1"), ("run", "jobType", "train")]
    assert made["name"] == "nw-e436cfcb49c-v" and made["displayName"].startswith("table1: Which shortcut")
    other = workspace.specification(workspace.workspace(study.load("table2"), Wandb(mode="offline")))
    assert not {panel[-1] for panel in panels(other)} & {panel[-1] for panel in panels(made)}


def test_without_a_login_it_is_written(tmp_path):
    done = ablations("dashboard", "study=table1", "logger.project=mine", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith("wrote dashboard-table1.json; not saved at Weights & Biases: there is no login")
    made = json.loads((tmp_path / "dashboard-table1.json").read_text())
    assert made["project"] == "mine" and list(panels(made)) == PANELS
    assert made == workspace.specification(workspace.workspace(study.load("table1"), Wandb(project="mine")))


def test_with_a_login_it_is_saved_and_stays_one(tmp_path):
    with serve() as server:
        for _ in range(2):
            done = ablations("dashboard", "study=table1", cwd=tmp_path, env=os.environ | server.environment)
            assert done.returncode == 0, done.stderr
            assert done.stdout == f"saved {server.url}/me/ablations?nw=e436cfcb49c\n" and not done.stderr
        ((name, view),) = server.views.items()
    assert (view["entityName"], view["projectName"], name) == ("me", "ablations", "nw-e436cfcb49c-v")
    sent = {"spec": json.loads(view["spec"])}
    assert list(panels(sent)) == PANELS and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments,message",
    [
        ([], "study=... is missing; legal are"),
        (["study=table9"], "study=table9: unknown"),
        (["study=table1", "data=digits"], "data=digits: settings are study=..., out=..., logger.mode"),
        (["study=table1", "logger.mode=offline", "out=no/where"], "out=no/where: cannot be written"),
    ],
)
def test_one_clear_message(arguments, message, tmp_path):
    done = here("dashboard", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
