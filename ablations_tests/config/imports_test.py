"""Shortcuts and orders of a user's own: from a file, from a notebook cell, in other processes; what is said of mistakes."""

import pickle
import subprocess
import sys
from dataclasses import dataclass

import cloudpickle
import numpy as np
import pytest
from flax import nnx
from hydra.core.singleton import Singleton

from ablations.config import imports, searchpath
from ablations.config.run import from_resolved
from ablations.errors import UserError
from ablations.networks import activation, registry
from ablations.networks.architecture import Match
from ablations.networks.registry import SHORTCUTS
from ablations.networks.shortcut import ConstantScaling, Identity, Shortcut
from ablations.networks.skip import Skip
from ablations_tests.conftest import configure

CLASS = """
from dataclasses import dataclass
from ablations.networks.shortcut import Shortcut

@dataclass
class Halved(Shortcut):
    name: str = "halved"
    by: float = 2.0
    def layers(self, build):
        return {"h": build.match()}
    @staticmethod
    def equation(x, fx, h):
        return h(x) / 2 + fx
"""


@pytest.fixture(autouse=True)
def own(forgotten, monkeypatch, tmp_path):
    """Each test has a folder for the user's files."""
    monkeypatch.chdir(tmp_path)


def load(text: str, name: str = "mine.py") -> None:
    with open(name, "w") as file:
        file.write(text)
    imports.load(name)


def test_a_class_of_a_file_is_a_choice_with_its_settings():
    load(CLASS)
    shortcut = configure("shortcut=halved", "shortcut.by=4").shortcut
    assert type(shortcut) is SHORTCUTS["halved"] and shortcut.by == 4
    with pytest.raises(
        UserError, match="shortcut.to: there is no such setting; legal are name, at_dimension_change, by"
    ):
        configure("shortcut=halved", "shortcut.to=1")
    with pytest.raises(UserError, match="shortcut.by=much: Value 'much'"):
        configure("shortcut=halved", "shortcut.by=much")
    assert from_resolved(configure("shortcut=halved").resolved()) == configure("shortcut=halved")


def test_a_cell_that_is_run_again_replaces_its_class():
    """Both before and after a configuration was composed with it."""

    def cell(weight):
        @dataclass
        class Weighted(ConstantScaling):
            name: str = "weighted"
            shortcut_scale: float = weight

        return Weighted

    for weight in (0.25, 0.75):
        cls = cell(weight)
        assert configure("shortcut=weighted").shortcut == cls(shortcut_scale=weight)


def test_an_order_is_one_entry_of_data():
    load(
        "from ablations.networks.activation import *\nORDERS['mine'] = ActivationOrder('mine', [], ['relu'], [], ['bn'])"
    )
    assert configure("activation=mine").activation == activation.ORDERS["mine"]
    del activation.ORDERS["mine"]
    with pytest.raises(
        UserError, match="activation=mine: unknown; legal are bn_after_addition, full_preactivation, linear"
    ):
        configure("activation=mine")


@pytest.mark.parametrize(
    "entry,message",
    [
        ("ORDERS['mine'] = ActivationOrder('other', [], [], [], [])", "is named 'other'; the two names must be equal"),
        (
            "ORDERS['original'] = ActivationOrder('original', [], [], [], [])",
            "'original'] is one of the project's orders",
        ),
    ],
)
def test_an_order_that_is_none(entry, message):
    load(f"from ablations.networks.activation import ActivationOrder, ORDERS\n{entry}")
    with pytest.raises(UserError, match=message):
        configure()


MISTAKES = {
    "mine.py:6: class Halved is not a dataclass: write @dataclass above it": ("@dataclass\n", "\n"),
    'mine.py:6: class Halved has a name without a type: write name: str = "halved"': ("name: str", "name"),
    'mine.py:6: class Halved has no name: give it one, such as name: str = "halved"': (
        '    name: str = "halved"\n',
        "",
    ),
    "mine.py:6: class Halved has the name 'two words': a name must be one word": ('"halved"', '"two words"'),
    "mine.py:6: class Halved has no equation: the sum of x and F(x)": ("equation", "sum"),
    "mine.py:6: class Halved has no layers: the layers of its equation": ("layers", "parts"),
    "mine.py:6: class Halved has an equation that is not static: write @staticmethod": ("    @staticmethod\n", ""),
    "mine.py:6: shortcut identity is one of the project's own: give class Halved another name": (
        '"halved"',
        '"identity"',
    ),
    "mine.py:7: SyntaxError: invalid syntax": ("name: str =", "name: str = ="),
    "mine.py:2: ModuleNotFoundError: No module named 'nowhere'": ("from dataclasses", "import nowhere #"),
    "mine.py:14: ZeroDivisionError: division by zero": ("+ fx\n", "+ fx\n1 / 0\n"),
    "mine.py:14: SystemExit: 3": ("+ fx\n", "+ fx\nraise SystemExit(3)\n"),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_in_the_file_is_one_message_with_its_line(message):
    text = CLASS.replace(*MISTAKES[message])
    assert text != CLASS
    with pytest.raises(UserError) as raised:
        load(text)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_a_mistake_in_a_cell_is_said_when_it_is_chosen_and_hinders_nothing_else():
    @dataclass
    class Unfinished(Shortcut):
        name: str = "unfinished"

    assert configure("shortcut=dropout").shortcut.name == "dropout"
    with pytest.raises(UserError, match=r"imports_test.py:\d+: class .*Unfinished has no layers"):
        configure("shortcut=unfinished")

    @dataclass
    class Odd(Identity):
        name: str = "odd"
        array: np.ndarray | None = None

    with pytest.raises(UserError, match=r"imports_test.py:\d+: class .*Odd: "):
        configure("shortcut=odd")


def test_a_mistake_in_a_file_that_the_file_imports():
    with open("beside.py", "w") as file:
        file.write("\n\nraise ValueError('no')")
    with pytest.raises(UserError, match="^beside.py:3: ValueError: no$"):
        load("import beside")
    with pytest.raises(UserError, match="^beside.py:3: ValueError: no$"):
        imports.load("beside")


def test_two_files_do_not_take_a_name_from_each_other():
    load(CLASS)
    imports.load("mine.py")
    with pytest.raises(UserError, match="other.py:6: shortcut halved is already defined in mine.py:6"):
        load(CLASS, "other.py")


@pytest.mark.parametrize(
    "was,wrong,message",
    [
        (
            "h(x) / 2 + fx",
            "h(x)[..., :2]",
            r"mine.py:6: the equation of Halved makes float32\[3, 4, 4, 2\] from x float32\[3, 8",
        ),
        ("h(x) / 2 + fx", "h(x) / 2 + fx[..., :2]", "mine.py:13: shortcut halved: (TypeError|ValueError): "),
        ("h(x) / 2 + fx", "None", r"mine.py:6: the equation of Halved makes NoneType\[\] from x"),
        ('{"h": build.match()}', '{"k": build.match()}', "mine.py:6: shortcut halved: TypeError: .*'k'"),
        ("build.match()", "build.mach()", "mine.py:10: shortcut halved: AttributeError: .*'mach'"),
    ],
)
def test_a_mistake_in_the_equation_is_one_message_with_its_line(was, wrong, message):
    load(CLASS.replace(was, wrong))
    with pytest.raises(UserError, match=message):
        skip = Skip(SHORTCUTS["halved"](), (6, 10, 2), Match(), bn=True, rngs=nnx.Rngs(0))
        skip(np.ones((3, 8, 8, 6), np.float32), np.ones((3, 4, 4, 10), np.float32))


@pytest.mark.parametrize("what", ["a configuration, as hosts.py sends it", "Hydra's schemas, as launchers send them"])
def test_another_process_imports_the_same_files(what, tmp_path):
    """With nothing in its environment, in another folder."""
    load("BY = 4.0", "numbers_of_mine.py")
    load(CLASS.replace("2.0", "BY").replace("\nfrom", "\nfrom numbers_of_mine import BY\nfrom", 1))
    config = configure("shortcut=halved")
    sent = pickle.dumps(config) if "hosts" in what else cloudpickle.dumps((Singleton.get_state(), config))
    (tmp_path / "sent").write_bytes(sent)
    code = """if True:
        import pickle, sys
        sent = pickle.load(open(sys.argv[1], "rb"))
        config = sent[1] if isinstance(sent, tuple) else sent
        from ablations.config.run import from_resolved
        assert from_resolved(config.resolved()) == config  # a record can be read there
        print(type(config.shortcut).__name__, config.shortcut.by, "jax" in sys.modules)"""
    command = [sys.executable, "-c", code, str(tmp_path / "sent")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env={}, timeout=60)
    assert done.stdout == "Halved 4.0 False\n", done.stderr


def test_a_record_says_what_made_it():
    load(CLASS)
    made = registry.made_by(SHORTCUTS["halved"])["shortcut_class"]
    assert made["name"] == "Halved" and made["file"].endswith("/mine.py") and len(made["sha256"]) == 64
    load(CLASS.replace("/ 2", "/ 3"))
    other = registry.made_by(SHORTCUTS["halved"])["shortcut_class"]
    assert other == made | {"sha256": other["sha256"]} != made
    assert registry.made_by(Identity) == {}


def test_a_class_that_is_not_there():
    resolved = configure().resolved() | {"shortcut": {"name": "gone"}}
    for source, message in (
        (None, "add --import FILE.py"),
        ({"name": "Gone", "file": "/elsewhere/gone.py"}, "add --import /elsewhere/gone.py"),
        ({"name": "Gone", "file": None}, "it was defined in a notebook; define class Gone"),
    ):
        with pytest.raises(UserError, match=f"^shortcut gone is not defined here: {message}$"):
            from_resolved(resolved, source)


@pytest.mark.parametrize("place", ["file", "pkg"])
def test_a_folder_of_the_users_has_choices_in_every_group(tmp_path, place):
    (tmp_path / "work" / "conf").mkdir(parents=True)
    (tmp_path / "work" / "conf" / "__init__.py").touch()
    for group, base, setting in (
        ("shortcut", "dropout", "rate: 0.25"),
        ("recipe", "paper", "total_steps: 7"),
        ("model", "resnet20", "depth: 26"),
    ):
        (tmp_path / "work" / "conf" / group).mkdir()
        text = f"defaults:\n  - {base}\n  - _self_\n{setting}\n"
        (tmp_path / "work" / "conf" / group / "mine.yaml").write_text(text)
    [where] = searchpath.parse("[file://work/conf]" if place == "file" else "[pkg://work.conf]")
    searchpath.add(where, where)
    config = configure("shortcut=mine", "recipe=mine", "model=mine")
    assert (config.shortcut.rate, config.recipe.total_steps, config.model.depth) == (0.25, 7, 26)
    assert "mine" in searchpath.choices("recipe")
    searchpath.locations.clear()
    with pytest.raises(UserError, match="recipe=mine: unknown; legal are digits, digits_mask, imagenet"):
        configure("recipe=mine")
