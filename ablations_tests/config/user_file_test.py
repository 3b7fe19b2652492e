"""A user's own configuration files: a mistake in one is told with its file, key and value."""

import pytest

from ablations_tests.conftest import here

GLOBAL = "# @package _global_\n"


def said(tmp_path, files, *words):
    """What `plan` says of these files in the folder conf."""
    for name, text in files.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text, errors="surrogateescape")
    done = here("plan", "calibrate=false", "--config-dir", "conf", *words, cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout
    [line] = done.stderr.splitlines()
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]
    return line.removeprefix("ablations: ").replace(f"{tmp_path}/", "")


def test_a_file_that_the_project_s_own_hides_cannot_be_chosen(tmp_path, forgotten):
    """As in the folder .hydra of a saved run."""
    message = said(tmp_path, {"config.yaml": "seed: 3\n"}, "--config-name", "config")
    assert message.startswith("--config-name config: the project has a file config.yaml of its own, which hides conf/config.yaml")
    assert "overrides.yaml" in message


@pytest.mark.parametrize("setting", ["seed: 3", "seeds: 2", "study: demo", "row: mine"])
@pytest.mark.parametrize(
    "name,head,words",
    [("experiment/full.yaml", GLOBAL, ["+experiment=full"]), ("mine.yaml", "defaults: [config, _self_]\n", ["-cn", "mine"])],
)
def test_a_file_cannot_say_which_runs_there_are(setting, name, head, words, tmp_path, forgotten):
    message = said(tmp_path, {name: f"{head}{setting}\n"}, *words)
    typed = setting.replace(": ", "=")
    assert message == f"conf/{name}: {setting}: a file cannot say which runs there are; remove that line, and type {typed} in the command"
