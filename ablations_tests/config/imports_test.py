"""Shortcuts, orders and families of a user's own: from a file, from a notebook cell, in other processes; what is said of mistakes."""

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
from ablations.networks.family import FAMILIES
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

FAMILY = """
from dataclasses import dataclass
from ablations.networks.architecture import Architecture, Layer, Stage, Unit
from ablations.networks.family import ModelConfig

@dataclass
class Pairs(ModelConfig):
    family: str = "pairs"
    pairs: int = 2
    own_order = "without_bn"
    own_shortcut = "rezero"
    def architecture(self):
        if self.pairs < 1:
            raise ValueError(f"model.pairs={self.pairs}: must be at least 1")
        pair = Unit((Layer(8), Layer(8)))
        return Architecture(Layer(8), (Stage((pair,) * self.pairs),))
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


def test_a_family_of_a_file_is_a_choice_with_its_settings_its_order_and_its_shortcut():
    load(FAMILY)
    config = configure("model=pairs", "model.pairs=3")
    assert type(config.model) is FAMILIES["pairs"] and config.model.units == (3,) and config.model.label == "pairs"
    assert (config.activation.name, config.shortcut.name) == ("without_bn", "rezero")
    other = configure("model=pairs", "shortcut=dropout", "shortcut.rate=0.25", "activation=original")
    assert (other.activation.name, other.shortcut.rate) == ("original", 0.25)
    assert from_resolved(config.resolved()) == config
    load(FAMILY.replace('    own_order = "without_bn"\n    own_shortcut = "rezero"\n', ""))
    config = configure("model=pairs")
    assert (config.activation.name, config.shortcut.name) == ("original", "identity"), "as for every network"
    with pytest.raises(UserError, match="model.to: there is no such setting; legal are name, family, pairs;"):
        configure("model=pairs", "model.to=1")
    with pytest.raises(UserError, match="model=other: unknown; .*For a family of your own add --import FILE"):
        configure("model=other")


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


FAMILY_MISTAKES = {
    "mine.py:7: class Pairs is not a dataclass: write @dataclass above it": ("@dataclass\n", "\n"),
    'mine.py:7: class Pairs has no family: give it one, such as family: str = "pairs"': (
        '    family: str = "pairs"\n',
        "",
    ),
    'mine.py:7: class Pairs has a family without a type: write family: str = "pairs"': ("family: str", "family"),
    "mine.py:7: class Pairs has the family 'two words': a family must be one word": ('"pairs"', '"two words"'),
    "mine.py:7: class Pairs has no architecture: the network as data; see ablations/networks/family.py": (
        "def architecture",
        "def network",
    ),
    "mine.py:7: family resnet is one of the project's own: give class Pairs another family": ('"pairs"', '"resnet"'),
    "mine.py:7: class Pairs has a setting units, which every family has as something else": (
        "pairs: int",
        "units: int",
    ),
}


@pytest.mark.parametrize("message", [*MISTAKES, *FAMILY_MISTAKES])
def test_a_mistake_in_the_file_is_one_message_with_its_line(message):
    right = CLASS if message in MISTAKES else FAMILY
    text = right.replace(*(MISTAKES | FAMILY_MISTAKES)[message])
    assert text != right
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


@pytest.mark.parametrize(
    "was,wrong,message",
    [
        ("(Layer(8), Layer(8))", "(Layer(8), Lair(8))", "^mine.py:15: family pairs: NameError: name 'Lair'"),
        (
            "Layer(8)))",
            'Layer(8)), join="plus")',
            "^mine.py:15: family pairs: ValueError: Unit.join='plus'.: legal are",
        ),
        ("return Arch", "Arch", "^mine.py:7: family pairs: TypeError: architecture.. returns NoneType"),
        ("pairs: int = 2", "pairs: int = 0", "^model.pairs=0: must be at least 1$"),
        ("pairs: int = 2", "pairs: complex = 2j", "^mine.py:7: class Pairs: .*complex"),
        (
            '"without_bn"',
            '"bnless"',
            "^mine.py:7: class Pairs: own_order = 'bnless': unknown; legal are bn_after_addition",
        ),
        ('"rezero"', '"zero"', "^mine.py:7: class Pairs: own_shortcut = 'zero': unknown; legal are constant_scaling, "),
    ],
)
def test_a_mistake_in_a_family_is_said_when_it_is_chosen_and_hinders_nothing_else(was, wrong, message):
    load(FAMILY.replace(was, wrong, 1))
    assert configure("model=resnet20").model.depth == 20
    with pytest.raises(UserError, match=message):
        configure("model=pairs")


def test_a_family_may_not_have_the_name_of_one_of_our_networks():
    """Its file would hide the user's class."""
    load(FAMILY.replace('"pairs"', '"resnet20"'))
    with pytest.raises(UserError, match="^mine.py:7: class Pairs: the project has a file model/resnet20.yaml"):
        configure("model=resnet20")


def test_a_shortcut_and_a_family_may_have_one_name():
    load(CLASS + FAMILY.replace('"pairs"', '"halved"'))
    config = configure("model=halved", "shortcut=halved")
    assert (type(config.model).__name__, type(config.shortcut).__name__) == ("Pairs", "Halved")


@pytest.mark.parametrize("what", ["a configuration, as hosts.py sends it", "Hydra's schemas, as launchers send them"])
def test_another_process_imports_the_same_files(what, tmp_path):
    """With nothing in its environment, in another folder."""
    load("BY = 4.0", "numbers_of_mine.py")
    load(CLASS.replace("2.0", "BY").replace("\nfrom", "\nfrom numbers_of_mine import BY\nfrom", 1))
    load(FAMILY, "family_of_mine.py")
    config = configure("shortcut=halved", "model=pairs")
    # The model first: nothing before it has imported its file.
    hosts = "hosts" in what
    sent = pickle.dumps((config.model, config)) if hosts else cloudpickle.dumps((Singleton.get_state(), config))
    (tmp_path / "sent").write_bytes(sent)
    code = """if True:
        import pickle, sys
        _, config = pickle.load(open(sys.argv[1], "rb"))
        from ablations.config.run import from_resolved
        assert from_resolved(config.resolved()) == config  # a record can be read there
        print(type(config.shortcut).__name__, config.shortcut.by, config.model.units, "jax" in sys.modules)"""
    command = [sys.executable, "-c", code, str(tmp_path / "sent")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env={}, timeout=60)
    assert done.stdout == "Halved 4.0 (2,) False\n", done.stderr


def test_a_record_says_what_made_it():
    load(CLASS)
    made = registry.made_by(SHORTCUTS["halved"])["shortcut_class"]
    assert made["name"] == "Halved" and made["file"].endswith("/mine.py") and len(made["sha256"]) == 64
    load(CLASS.replace("/ 2", "/ 3"))
    other = registry.made_by(SHORTCUTS["halved"])["shortcut_class"]
    assert other == made | {"sha256": other["sha256"]} != made
    load(FAMILY, "family.py")
    both = registry.made_by(SHORTCUTS["halved"], FAMILIES["pairs"])
    assert both["shortcut_class"] == other and both["model_class"]["name"] == "Pairs"
    assert both["model_class"]["file"].endswith("/family.py") and both.keys() == {"shortcut_class", "model_class"}
    assert registry.made_by(Identity, FAMILIES["resnet"]) == {}


def test_a_class_that_is_not_there():
    resolved = configure().resolved()
    shortcut, family = {"shortcut": {"name": "gone"}}, {"model": {"name": "gone", "family": "gone"}}
    for source, message in (
        (None, "add --import FILE.py"),
        ({"name": "Gone", "file": "/elsewhere/gone.py"}, "add --import /elsewhere/gone.py"),
        ({"name": "Gone", "file": None}, "it was defined in a notebook; define class Gone"),
    ):
        with pytest.raises(UserError, match=f"^shortcut gone is not defined here: {message}$"):
            from_resolved(
                resolved | shortcut, {"shortcut_class": source, "model_class": {"name": "Other", "file": "o"}}
            )
        with pytest.raises(UserError, match=f"^family gone is not defined here: {message}$"):
            from_resolved(resolved | family, {"model_class": source})


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
