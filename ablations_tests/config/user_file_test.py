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
    assert message.startswith(
        "--config-name config: the project has a file config.yaml of its own, which hides conf/config.yaml"
    )
    assert "overrides.yaml" in message


@pytest.mark.parametrize("setting", ["seed: 3", "seeds: 2", "study: demo", "row: mine"])
@pytest.mark.parametrize(
    "name,head,words",
    [
        ("experiment/full.yaml", GLOBAL, ["+experiment=full"]),
        ("mine.yaml", "defaults: [config, _self_]\n", ["-cn", "mine"]),
    ],
)
def test_a_file_cannot_say_which_runs_there_are(setting, name, head, words, tmp_path, forgotten):
    message = said(tmp_path, {name: f"{head}{setting}\n"}, *words)
    typed = setting.replace(": ", "=")
    assert (
        message
        == f"conf/{name}, line 2: {setting}: a file cannot say which runs there are; remove that line, and type {typed} in the command"
    )


RECIPE = "defaults: [digits, _self_]\n"
MISTAKES = [
    ("recipe/mine.yaml", f"{RECIPE}learning_rat: 3\n", ", line 2: recipe.learning_rat: there is no such setting; did you mean learning_rate?"),
    ("recipe/mine.yaml", f"{RECIPE}learning_rate: abc\n", ", line 2: recipe.learning_rate: Value 'abc' of type 'str' could not"),
    ("recipe/mine.yaml", f"{RECIPE}drop_fractions: 0.5\n", ", line 2: recipe.drop_fractions: a list stands in brackets, as drop_fractions: "),
    ("recipe/mine.yaml", f"{RECIPE}momentum: 3\n", ", line 2: recipe.momentum=3.0: must be at least 0 and below 1"),
    ("recipe/mine.yaml", f"{RECIPE}momentum: ${{nowhere}}\n", ", line 2: recipe.momentum: Interpolation key 'nowhere' not found"),
    ("recipe/mine.yaml", f"{RECIPE}momentum: : 3\n", ", line 2: momentum: : 3: there is a colon where none is expected"),
    ("recipe/mine.yaml", f"{RECIPE}momentum: 3\nmomentum: 4\n", ", line 3: momentum: 4: found duplicate key momentum"),
    ("recipe/mine.yaml", f"{RECIPE}name: caf\udce9\n", ", line 2: it is not text in UTF-8; save it so"),
    ("recipe/mine.yaml", f"{RECIPE}name: \1\n", ", line 2: the character 0x1 is not allowed; remove it"),
    ("recipe/mine.yaml", "- a\n", ": Invalid type assigned: list is not a subclass of RecipeConfig. value: ['a']; expected settings"),
    ("recipe/mine.yaml", "plain\n", ": recipe.plain: there is no such setting; begin the file with defaults: [digits, _self_]"),
    ("recipe/mine.yaml", "total_steps: 3\n", ": recipe.name has no value; begin the file with defaults: [digits, _self_], or another recipe"),
    ("recipe/mine.yaml", "", ": recipe.name has no value; begin the file with defaults: [digits, _self_], or another recipe that there is"),
    ("shortcut/mine.yaml", "bias: 3\n", ", line 1: shortcut.bias: there is no such setting; begin the file with defaults: [identity, _self_]"),
    ("recipe/mine.yaml", "defaults: 3\n", ": Invalid defaults list in 'recipe/mine', defaults must be a list"),
    ("recipe/mine.yaml", "defaults: [{a: 1}]\n", ": Unsupported item value in defaults : int"),
    ("recipe/mine.yaml", "defaults: [nosuch, _self_]\n", ": in its defaults, recipe: nosuch is unknown; legal are digits"),
    ("+experiment/mine.yaml", f"{GLOBAL}recipe: {{momentun: 0}}\n", ", line 2: recipe.momentun: there is no such setting; did you mean momentum?"),
]  # fmt: skip


@pytest.mark.parametrize("name,text,message", MISTAKES)
def test_a_mistake_is_told_with_its_file(name, text, message, tmp_path, forgotten):
    group, _, _ = name.partition("/")
    assert said(tmp_path, {name.lstrip("+"): text}, f"{group}=mine").startswith(f"conf/{name.lstrip('+')}{message}")


def test_a_mistake_of_the_command_is_no_fault_of_a_file(tmp_path, forgotten):
    files = {"recipe/mine.yaml": f"{RECIPE}momentum: 0.5\n"}
    assert said(tmp_path, files, "recipe=mine", "recipe.momentum=3").startswith("recipe.momentum=3.0: must be")
    assert said(tmp_path, files, "recipe=nine").startswith("recipe=nine: unknown; legal are digits")


@pytest.mark.parametrize("name", ["study/mine.yaml", "study/notes.txt"])
def test_a_folder_with_the_name_of_a_setting_is_named(name, tmp_path, forgotten):
    message = said(tmp_path, {name: ""})
    assert message == "conf/study: a folder of configuration files hides the setting of its name: give it another name"
