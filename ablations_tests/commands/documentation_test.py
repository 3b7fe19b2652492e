"""The documentation keeps its word: every command in it is run here or says what it needs, every link leads somewhere.

A command in a ```bash block is marked by a comment at its end, `# needs a network`, or by one on a line of its own, which
holds for the rest of its block. A command without a mark is run, made cheap by ADDED; of a marked one the settings are
checked. The commands of docs/shortcuts.md and docs/families.md are run by shortcut_test.py and family_test.py. A block
whose first line is a comment that is a file's name, as `# mine.yaml`, is that file.
"""

import ast
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

import ablations as ab
from ablations import cli
from ablations.config import study
from ablations_tests import depths, official, pictures
from ablations_tests.conftest import ONE_UNIT, ROOT

DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", *DOCS, "results/README.md"]
ELSEWHERE = ("docs/shortcuts.md", "docs/families.md")
LINKING = [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/NOTES.md", "results/why/README.md"]

NEEDS = re.compile(r"#.*\bneeds (a network|PyTorch|a GPU|GPUs|a TPU|a cluster|several hosts|a quiet machine|hours)\b")

# Added to the commands that match, one after the other: of a setting that is there twice the last value counts.
SHORT = "recipe.batch_size=16 recipe.total_steps=2 recipe.evaluate_every=2 hydra/launcher=basic"
SHORT += " recipe.bn_statistics=running"  # exact ones are another program, and a pass over all images
SMALLEST = " ".join(ONE_UNIT)
SMALL = f"{SMALLEST} {SHORT}"
ADDED = {
    r"train (?!--|.*unet|study=table2)|train -m": SMALL,
    r"train .*unet": f"{SHORT} model.widths=[4,8] data.train_images=160 data.split=train_val",
    r"train study=unet": "row=none",
    r"train -m": "seed=0",
    r"train -m .*(optuna|search=)": "hydra.sweeper.n_trials=1",
    r"train .*data=cifar10": "data.archive_dir=~/downloads",
    r"train study=": "seeds=1",
    r"(train|plan) study=table1(?!.*row=)": "row=identity",
    r"train study=table1 data=digits(?!.*row=)": "row=identity,exclusive_gating_-6",
    r"train study=table2": f"{SHORT} model.depth=8 row=resnet110_original",
    r"train .*logger=": "force=true",
    r"train .*data\.train_images=": "data.train_images=50",
    r"train .*data=image_folder": "data.crop=32",
    r".*data=image_folder": "data.workers=0",
    r"plan study=": "calibrate=false",
    r"plan study=(table1|gate_bias)": SMALLEST,
    r"plan study=gate_bias": "row=exclusive_gating_0,shortcut_only_gating_0",
    r"plan study=table5": "row=resnet152_original",
    r"probe": "images=8",
    r"lesion": "k=1 draws=1 paths=1",
    r"landscape": "images=8 directions=1 points=2",
    r"data prepare data=imagenet": "data.verify=false",
    r"dashboard": "logger.mode=offline",
    r"status study=table1 .*seed=0": "row=identity",
}
BEGIN = f"train study=table1 row=identity seed=0 {SMALL}"  # the run that the pages in docs/ speak of


@dataclass(frozen=True)
class Command:
    """A line of a ```bash block; mark: the comment that says what it needs, "" where it is run here."""

    place: str
    text: str
    mark: str

    def __str__(self):
        return f"{self.place}: {self.text}"

    @property
    def words(self) -> list[str]:
        """The program and its arguments, without the environment before it."""
        words = shlex.split(self.text, comments=True)
        return words[next(i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)) :]


def blocks(page: str, language: str = r"\w+") -> list[tuple[int, list[str]]]:
    """The code blocks in a language: the number of the first line, and the lines."""
    text = (ROOT / page).read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text[: block.start(1)].count("\n") + 1, block[1].splitlines()) for block in found]


def commands(page: str) -> list[Command]:
    found = []
    for first, lines in blocks(page, "bash"):
        mark = continued = ""
        for number, line in enumerate(lines, first):
            if line.startswith("#"):
                mark = line if NEEDS.match(line) else ""
            elif line.endswith("\\"):
                continued += line[:-1]
            elif line:
                own = NEEDS.search(line)
                found.append(Command(f"{page}:{number}", continued + line, own[0] if own else mark))
                continued = ""
    return found


class Shell:
    """Types the commands of a page, in this process: importing JAX takes seconds."""

    def __init__(self, monkeypatch, folder: Path):
        self.monkeypatch, self.folder = monkeypatch, folder
        monkeypatch.chdir(folder)

    def ablations(self, arguments: list[str]) -> int:
        """The exit code."""
        self.monkeypatch.setattr(sys, "argv", ["ablations", *arguments])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            cli.main()
        except SystemExit as end:
            return end.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return 0

    def run(self, words: list[str]) -> None:
        line = " ".join(words)
        added = [word for pattern, more in ADDED.items() if re.match(pattern, line) for word in more.split()]
        small = {
            f"run={path.parents[1]}/identity/seed=0": path for path in Path("runs/table1").glob("identity*/seed=0")
        }
        words = [f"run={small[word]}" if word in small else word for word in words]
        legal = (0, 3) if words[0] == "status" else (0,)  # 3: some runs are not done yet
        assert self.ablations([*words, *added]) in legal, f"ablations {line} {' '.join(added)}"

    def check_settings(self, words: list[str]) -> None:
        """Of a command that cannot be run: `ablations status` composes what `ablations train` would, and runs nothing."""
        assert words[0] in cli.COMMANDS
        # An extra, perhaps missing, and settings of these commands alone
        own = ("hydra/launcher=ray", "platform=", "target=", "topology=", "out=", "weights=", "like=")
        settings = [word for word in words if "=" in word and not word.startswith(own)]
        settings = ["data=imagenet", *settings] if words[0] == "import" else settings  # its default
        self.run(["status", *settings, "seed=0"])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder in which a study was run, and where records of another lie."""
    folder = tmp_path_factory.mktemp("begun")
    depths.write(folder / "runs", {"identity": (0, 0), "dropout": (0, 2)})
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert Shell(monkeypatch, folder).ablations(BEGIN.split()) == 0
    return folder


@pytest.fixture
def shell(forgotten, networks_read_here, tmp_path, monkeypatch):
    """In a home folder with small archives in the official formats and with pictures, without a network."""
    official.write("cifar10", "archive", tmp_path / "downloads")
    official.publish(monkeypatch, "cifar10")
    pictures.archives(tmp_path / "downloads")
    pictures.folder(tmp_path / "pictures")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # where nobody listens: nothing is downloaded
    for name in ("TFDS_DATA_DIR", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return Shell(monkeypatch, tmp_path)


@pytest.mark.filterwarnings("ignore:Pydantic V1 style")  # wandb_workspaces
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page) and page not in ELSEWHERE])
def test_every_command_is_run_or_marked(page, shell, request):
    if page == "docs/search.md":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install '.[optuna]'")
    if page in DOCS:  # the README and the results begin at the beginning
        shutil.copytree(request.getfixturevalue("begun"), shell.folder, dirs_exist_ok=True)
    for _, (name, *lines) in blocks(page):
        if re.fullmatch(r"# [\w/]+\.(py|yaml)", name):
            Path(name[2:]).parent.mkdir(parents=True, exist_ok=True)
            Path(name[2:]).write_text("\n".join(lines) + "\n")
    for command in commands(page):
        program, *words = command.words
        print(command)  # shown where one fails
        if program == "ablations":
            (shell.check_settings if command.mark else shell.run)(words)
        elif program == "make":
            subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, capture_output=True)
        elif program == "pip":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(re.search(r"\.\[(.*)\]", words[-1])[1].split(",")) <= set(extras)
        elif program == "source":
            assert f"BIN := {Path(*words).parent}\n" in (ROOT / "Makefile").read_text()
        elif program == "eval":
            shell.run(re.fullmatch(r"\$\(ablations (.*)\)", *words)[1].split())
        else:
            assert command.mark, f"{command} is neither run nor marked as needing something"
            assert all((ROOT / word).exists() for word in words if "/" in word)


def messages() -> list[str]:
    """Every text in the code, with a line feed for each part that differs."""
    found = []
    for path in (ROOT / "ablations").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(
                        getattr(part, "value", "") if isinstance(part, ast.Constant) else "\n" for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    known = messages()
    text = (ROOT / "docs" / "troubleshooting.md").read_text().partition("## A result")[0]
    shown = re.findall(r"^\| `([^`]*)` \|", text, re.MULTILINE)
    assert len(shown) > 20
    for message in shown:
        parts = [part.strip(": ") for part in message.split("...") if len(part) > 6]
        assert parts and all(any(part in each for each in known) for part in parts), message


def test_the_readmes_python_trains_and_finds_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configure, small = ab.configure, SMALL.replace("hydra/launcher=basic", "").split()
    monkeypatch.setattr(ab, "configure", lambda *words, **settings: configure(*words, *small, **settings))
    [example] = [lines for _, lines in blocks("README.md", "python") if lines[0] == "import ablations as ab"]
    exec("\n".join(example), names := {})
    assert names["run"].record["config"]["shortcut"]["bias"] == -6
    assert len(ab.records("runs")) == 1


@pytest.mark.parametrize("page", LINKING)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if not link.startswith("https://"):
            target, _, heading = link.partition("#")
            path = (ROOT / page).parent / target if target else ROOT / page
            assert path.exists(), f"{page} links to {link}, which is not there"
            assert not heading or heading in headings(path), f"{page} links to {link}, which has no such heading"


def headings(path: Path) -> set[str]:
    """As GitHub names them in links."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_a_command_in_a_sentence_is_one(page):
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    legal = {"ablations": [*cli.COMMANDS, "COMMAND"], "make": targets}
    for program, word in re.findall(r"`(ablations|make) ([^\s`]+)", text):
        assert word in legal[program], f"{page}: {program} {word}"


def test_the_readme_is_short_and_names_every_command_and_choice():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 250
    named = [name for first, _ in rows(text, "command") for name in re.findall(r"`(\w+)`", first)]
    assert sorted(named) == sorted(cli.COMMANDS)
    for first, choices in rows(text, "group"):
        if (group := first.strip("`")) not in ("model", "study"):  # some of those are left out between dots
            assert set(re.findall(r"`(\w+)`", choices)) == {
                path.stem for path in (ROOT / "conf" / group).glob("*.yaml")
            }


def rows(text: str, heading: str) -> list[tuple[str, str]]:
    """The first two cells of each row of the table whose first column has this heading."""
    [table] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table.splitlines()]


def test_the_page_of_studies_lists_them_all():
    listed = set()
    for row in re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "studies.md").read_text(), re.MULTILINE):
        listed |= set(re.findall(r"`(\w+)`", row))
    assert listed == set(study.names())


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    assert {f"docs/{link}" for link in re.findall(r"^\| \[.*?\]\((\w+\.md)\)", index, re.MULTILINE)} == {*DOCS} - {
        "docs/README.md"
    }
