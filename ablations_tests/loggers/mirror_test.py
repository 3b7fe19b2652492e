"""Runs at Weights & Biases and in TensorBoard: what arrives is what the files say, and nothing there stops training."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from ablations.config import logger, study
from ablations.errors import UserError
from ablations.loggers import mirror
from ablations.loggers import wandb as wandb_run
from ablations.runs.folder import RunFolder, read_records
from ablations.runs.record import read_metrics, read_record
from ablations.tables import cells, table
from ablations_tests.config.jobs_test import folders, jobs
from ablations_tests.conftest import FEW_IMAGES, ONE_UNIT, ROOT, SLOWLY, configure, here, processes_in
from ablations_tests.wandb_server import serve

TINY = ("train", *ONE_UNIT, "recipe.total_steps=6", "recipe.evaluate_every=2", *FEW_IMAGES)
OFFLINE = ("logger=wandb", "logger.mode=offline")
DONE = ROOT / "results" / "digits" / "table1" / "identity" / "seed=0"


@pytest.fixture(autouse=True)
def without_login(monkeypatch, tmp_path_factory):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def processes(folder) -> list[str]:
    """What still works for a run: its mirror, or what that has started."""
    return [one for one in processes_in(folder) if "ablations.loggers.mirror" in one or "wandb-core" in one]


def wait_for(condition, seconds=120):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "it did not come about"
        time.sleep(0.02)


def inspect(folder: Path, *options: str) -> list[dict]:
    """The records of the one offline run below a folder, read back by W&B's own tool."""
    from wandb.util import get_core_path  # `wandb leet inspect` starts it

    ((run,),) = (list(one.glob("*.wandb")) for one in folder.glob("wandb/offline-run-*"))
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--run-file", run, folder / "wandb"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines()]


def history(records: list[dict]) -> list[dict]:
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def ours(items: list[dict]) -> list[dict]:
    """The history without W&B's own entries; its step is ours."""
    assert all(item["_step"] == item["step"] for item in items)
    return [{key: value for key, value in item.items() if key[0] != "_"} for item in items]


def copy(folder: Path, end="done", command=("-m", "ablations.loggers.mirror"), **changes) -> list[str]:
    """Mirror a folder as training does; what the process says."""
    record = read_record(folder)
    run = {"study": "table1", "row": "identity", "seed": 0, "force": False, "folder": str(folder)}
    run |= {"config": record["config"], "logger": {"name": "wandb", "mode": "online", "project": "p", "entity": None}}
    text = json.dumps(run | changes) + "\n" + end
    done = subprocess.run(
        [sys.executable, *command], input=text, capture_output=True, text=True, timeout=120, cwd=folder
    )
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def done(tmp_path):
    """The folder of a finished run."""
    return Path(shutil.copytree(DONE, tmp_path / "seed=0"))


LONG = (*ONE_UNIT, "recipe.total_steps=128", "recipe.evaluate_every=16", *FEW_IMAGES)


def test_an_offline_run_that_was_stopped_is_the_metrics_file_of_one_without_a_logger(tmp_path):
    """Stopped as a terminal does it, by a signal to all processes of its group; then to the end."""
    folder = tmp_path / RunFolder.of(jobs(*LONG)[0].config)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*SLOWLY, "train", *LONG, *OFFLINE], cwd=tmp_path, start_new_session=True, **pipes)
    wait_for(lambda: read_metrics(folder) and list(folder.glob("wandb/*/*.wandb")))
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130 and "Traceback" not in errors
    assert "type the same command to go on" in errors, errors
    assert any(line.startswith("wandb: runs/single/") for line in errors.splitlines()), errors
    records = inspect(folder)
    assert records[-1]["exit"]["exit_code"] == 255 and ours(history(records)) == read_metrics(folder)

    done = here("train", *LONG, *OFFLINE, "hydra/launcher=basic", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "" and "goes on from step" in done.stderr, done.stderr
    records, lines = inspect(folder), read_metrics(folder)
    assert ours(history(records)) == lines and [line["step"] for line in lines] == list(range(16, 129, 16))
    run = next(record["run"] for record in records if record["type"] == "run")
    assert run["run_group"] == f"single/{folder.parent.name}" and run["job_type"] == "train"
    assert run["config"]["update"]["recipe"]["total_steps"] == 128
    assert {path.name for path in tmp_path.iterdir()} == {"runs"} and not processes(tmp_path)

    (tmp_path / "without").mkdir()
    assert here("train", *LONG, "hydra/launcher=basic", cwd=tmp_path / "without").returncode == 0
    other = tmp_path / "without" / folder.relative_to(tmp_path)
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    of = {"command", "compile_seconds", "wall_seconds", "train_images_per_second"}
    one, two = read_record(folder), read_record(other)
    assert one.keys() == two.keys() and all(one[key] == two[key] for key in one.keys() - of)


def test_a_killed_training_ends_its_mirror_and_goes_on_as_one_run(done):
    code = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from ablations.loggers.mirror import Mirror; from ablations.config import compose, jobs\n"
        "with compose.hydra() as context: [job] = jobs.plan(context, ['logger=wandb', 'logger.mode=offline'])\n"
        "Mirror(job.config, Path('.'), lambda _: os.kill(os.getpid(), 9)).start(); time.sleep(60)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=done, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    wait_for(lambda: not processes(done))
    assert inspect(done)[-1]["exit"]["exit_code"] == 255
    settings = {"name": "wandb", "mode": "offline", "project": "p", "entity": None}
    config = configure().resolved()
    copy(done, study="single", row="default", config=config, logger=settings)
    assert ours(history(inspect(done))) == read_metrics(done)  # in one folder, so with one id


def test_online_the_server_has_the_metrics_file(done):
    lines = read_metrics(done)
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        whole = (done / "metrics.jsonl").read_text()
        (done / "metrics.jsonl").write_text("".join(whole.splitlines(keepends=True)[:4]))
        said = copy(done, end="")
        ((name, run),) = server.runs.items()
        assert said == [f"where {server.url}/me/p/runs/{name}"] and run["exit_code"] == 255
        (done / "metrics.jsonl").write_text(whole)
        copy(done)
        assert list(server.runs) == [name] and run["starts"] == 2, "a run that goes on stays one run"
        assert ours(run["history"]) == lines and run["exit_code"] == 0
        assert run["received"] == len(lines), "what the server has is not sent again"
        assert (run["groupName"], run["jobType"], run["displayName"]) == ("table1/identity", "train", "identity seed=0")
        config = json.loads(run["config"])
        assert {key: config[key]["value"] for key in read_record(done)["config"]} == read_record(done)["config"]
        assert run["summary"]["test_error_percent"] == lines[-1]["test_error_percent"]
        assert run["summary"]["status"] == "done"

        (done / "metrics.jsonl").write_text(whole.replace('"test_loss": ', '"test_loss": 1'))
        copy(done, force=True)
        assert ours(run["history"]) == read_metrics(done) != lines, "what is forced replaces the run"


def test_ids_are_of_runs():
    config = configure().resolved()
    ids = {wandb_run.run_id("table1", row, config | {"seed": seed}) for row in ("a", "b") for seed in (0, 1)}
    assert len(ids) == 4
    assert wandb_run.run_id("t", "r", {"b": 1, "a": [2.0]}) == "0a341ac2b7bb5535", "ids of runs that are there already"


def test_an_agent_of_a_sweep_gives_the_run_its_id(done, monkeypatch):
    with serve() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1"), monkeypatch.setenv("WANDB_RUN_ID", "agents")
        copy(done)
        assert list(server.runs) == ["agents"] and server.runs["agents"]["sweep"] == "sweep1"
        assert ours(server.runs["agents"]["history"]) == read_metrics(done)


@pytest.mark.parametrize(
    "environment,reason",
    [
        ({}, "No API key configured"),
        ({"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "connection refused"),
    ],
)
def test_without_login_or_network_the_run_is_kept_offline(environment, reason, done, monkeypatch):
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 1.0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = []
    run = {"study": "s", "row": "r", "seed": 0, "force": False, "folder": str(done)} | {
        "config": read_record(done)["config"],
        "logger": {"name": "wandb", "mode": "online", "project": "p", "entity": None},
    }
    to = wandb_run.WandbRun(run, lambda *line: said.append(line))
    for line in read_metrics(done):
        to.log(line)
    to.finish(None)
    assert [kind for kind, _ in said] == ["failed", "where"]
    assert reason in said[0][1] and "kept in the run's folder" in said[0][1]
    assert ours(history(inspect(done))) == read_metrics(done)
    import wandb

    wandb.teardown()


def test_training_goes_on_whatever_the_logger_does_and_says_so_once(tmp_path, monkeypatch):
    """A sweep against a server that answers nonsense, which kills W&B's own process."""
    with serve() as server:
        server.query = lambda *_: {}
        server.handle_error = lambda *_: None  # of what it has not been told
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        done = here(*TINY, "seeds=2", "logger=wandb", "hydra.launcher.n_jobs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "logger=wandb failed, training goes on" in line]
    assert len(said) == 1 and "Traceback" not in done.stderr, done.stderr
    for seed in (0, 1):
        (folder,) = tmp_path.glob(f"runs/single/*/seed={seed}")
        assert read_record(folder)["status"] == "done" and len(read_metrics(folder)) == 3
        assert "training goes on" in mirror.failure(folder)
    wait_for(lambda: not processes(tmp_path))


@pytest.mark.parametrize("behaviour", ["hangs", "dies", "is not there"])
def test_a_logger_process_that_does_not_do_its_work(behaviour, tmp_path, monkeypatch):
    program = {"hangs": "import time; time.sleep(600)", "dies": "raise SystemExit(3)"}.get(behaviour)
    start, started = subprocess.Popen, []

    def other(_command, **options):
        started.append(start([sys.executable, "-c", program] if program else [str(tmp_path / "nothing")], **options))
        return started[-1]

    monkeypatch.setattr(mirror.subprocess, "Popen", other)
    monkeypatch.setattr(mirror, "SECONDS_AT_THE_END", 0.5)
    (job,) = jobs("logger=tensorboard")
    said = []
    with mirror.Mirror(job.config, tmp_path, said.append) as process:
        process.start()
    reason = {"hangs": "no answer within", "dies": "ended with code 3", "is not there": "cannot be started"}[behaviour]
    assert len(said) == 1 and reason in said[0] and mirror.failure(tmp_path) == said[0]
    assert all(process.poll() is not None for process in started)
    monkeypatch.undo()
    (job,) = jobs()
    with mirror.Mirror(job.config, tmp_path, said.append) as process:
        process.start()
    assert len(said) == 1 and mirror.failure(tmp_path) is None, "another run, another report"


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_disk_that_fills_is_said(name, done):
    # Python itself must write nothing: it would leave a module's bytecode cut short for all processes after it.
    limited = "import resource, runpy, sys; sys.dont_write_bytecode = True; "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    limited += "runpy.run_module('ablations.loggers.mirror', run_name='__main__')"
    settings = {"name": name, "mode": "offline", "project": "p", "entity": None}
    said = copy(done, command=("-c", limited), logger=settings)
    assert [line for line in said if line.startswith("failed")] == ["failed [Errno 27] File too large"]


def test_a_full_disk_is_found_where_wandb_would_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(4096))
    with pytest.raises(OSError, match="No space left"):
        wandb_run.check_room(str(tmp_path))


def scalars(file: Path) -> dict[int, dict[str, float]]:
    """The scalars of an event file by step: (length, its CRC, an Event, its CRC) each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # which it would import
        from tensorboardX.proto.event_pb2 import Event

    data, found = file.read_bytes(), {}
    while len(data) >= 8:
        (length,) = struct.unpack("<Q", data[:8])
        if len(data) < 16 + length:
            break  # it is being written
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            of = found.setdefault(event.step, {})
            assert value.tag not in of, "twice"
            of[value.tag] = value.simple_value
        data = data[16 + length :]
    return found


def test_tensorboard_has_the_metrics_file_each_evaluation_once(done):
    """As the file grows; then from the start again, as when training goes on."""
    lines = {line.pop("step"): line for line in read_metrics(done)}
    whole = (done / "metrics.jsonl").read_text()
    run = {"folder": str(done), "logger": {"name": "tensorboard"}}

    def arrived():
        files = list((done / "tensorboard").glob("*")) if (done / "tensorboard").is_dir() else []
        return scalars(files[0]) if len(files) == 1 else {}

    for cuts in ((600, 700, len(whole)), (len(whole),)):
        (done / "metrics.jsonl").write_text("")
        command = [sys.executable, "-m", "ablations.loggers.mirror"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write(json.dumps(run) + "\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith("where ")
            for cut in cuts:  # in the midst of a line, too
                (done / "metrics.jsonl").write_text(whole[:cut])
                wait_for(lambda cut=cut: len(arrived()) == whole[:cut].count("\n"))
        found = arrived()
        assert list(found) == list(lines)
        for step, line in lines.items():
            assert found[step] == pytest.approx(line, rel=1e-6)  # TensorBoard's are 32 bits


def test_a_missing_library_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    for library in ("wandb", "tensorboardX", "wandb_workspaces"):
        monkeypatch.setitem(sys.modules, library, None)
    for arguments, name in (
        (["train", "logger=wandb"], "wandb is not installed; pip install wandb, or"),
        (["train", "logger=tensorboard"], "tensorboardX is not installed; pip install tensorboardX, or"),
        (["table", "study=table1", "logger=wandb"], "wandb is not installed"),
        (["dashboard", "study=table1"], "is not installed"),
    ):
        done = here(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and name in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_logger_is_no_part_of_a_run(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert (
        folders("logger=wandb", "logger.mode=offline", "logger.entity=us") == folders() == folders("logger=tensorboard")
    )
    (job,), (other,) = jobs("logger=wandb", "logger.mode=disabled"), jobs()
    assert job.config.resolved() == other.config.resolved()
    assert job.config.logger.project == "mine" and not logger.is_on(job.config.logger)
    for wrong, message in (
        (["logger=tensorboard", "logger.mode=offline"], "logger.mode: there is no such setting"),
        (["logger=wandb", "logger.mode=on"], "logger.mode=on: legal are online, offline, disabled"),
        (["logger=wand"], "logger=wand: unknown; legal are none, tensorboard, wandb"),
    ):
        with pytest.raises(UserError, match=message):
            jobs(*wrong)


def test_the_finished_table_and_its_figures(tmp_path):
    from PIL import Image

    shutil.copytree(DONE, tmp_path / "runs" / "table1" / "identity" / "seed=0")
    for _ in range(2):
        done = here("table", "study=table1", "data=digits", *OFFLINE, cwd=tmp_path)
        assert done.returncode == 0 and "Table 1" in done.stdout, done.stderr
    where = done.stderr.removeprefix("wandb: ").strip()
    records = inspect(tmp_path / "runs" / "table1")  # one only: the same table is the same run
    run = next(record["run"] for record in records if record["type"] == "run")
    assert run["job_type"] == "table" and run["config"]["update"] == {"_wandb": {}, "study": "table1", "data": "digits"}
    (item,) = history(records)
    files, of = tmp_path / where / "files", study.load("table1")
    made = table.make(of, read_records(tmp_path / "runs", "table1")[0])
    kept = json.loads((files / item["table.path"]).read_text())
    shown = [i for i in range(len(cells.HEADER)) if cells.HEADER[i] != "IoU"]  # which only segmentation has
    assert kept["columns"] == [cells.HEADER[i] for i in shown]
    assert kept["data"] == [[cells.cells(line, made)[i] for i in shown] for line in made.lines]
    drawn = {key for key in item if key.startswith("figures/") and key.endswith(".path")}
    assert drawn and drawn <= {f"figures/{figure.name}.path" for figure in of.figures}
    for key in drawn:
        with Image.open(files / item[key]) as image:
            assert image.size[0] > 300 and image.convert("L").getextrema()[0] < 100, "something is drawn"


def test_a_table_that_cannot_be_sent_is_printed_and_refused(tmp_path):
    shutil.copytree(DONE, tmp_path / "runs" / "table1" / "identity" / "seed=0")
    done = here("table", "study=table1", "logger=wandb", cwd=tmp_path)
    assert done.returncode == 2 and "Table 1" in done.stdout
    assert done.stderr.startswith("ablations: logger=wandb: No API key configured") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["table1", "table2"])
def test_a_sweep_for_agents_is_the_study(name):
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    config = yaml.safe_load((ROOT / "sweeps" / "wandb" / f"{name}.yaml").read_text())
    values = config["parameters"]
    assert values["row"]["values"] == [row.name for row in study.load(name).rows]
    assert values["seed"]["values"] == list(range(study.load(name).seeds))
    assert create_sweep_command(config["command"]) == ["${env}", "${program}", "train", "${args_no_hyphens}"]
    assert config["program"] == "ablations"
    made = []
    for row in values["row"]["values"]:
        chosen = {key: {"value": part.get("value", row)} for key, part in values.items()} | {"seed": {"value": 4}}
        overrides = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
        assert f"row={row}" in [override.input_line for override in OverridesParser.create().parse_overrides(overrides)]
        if row in (values["row"]["values"][0], values["row"]["values"][-1]):
            made += jobs(*overrides)
            assert made[-1].config.logger.name == "wandb"
            assert RunFolder.of(made[-1].config) == RunFolder(Path("runs", name, row, "seed=4"))
    assert len(made) == 2
