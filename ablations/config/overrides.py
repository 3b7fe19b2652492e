"""The overrides of a command as Hydra's grammar reads them. What cannot be meant is refused, with what to type instead."""

import re
import shlex

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from ablations.config import quoting, searchpath
from ablations.errors import UserError

OPTIONAL = ("logger", "distributed")  # groups with a choice that is nothing
SINGLE = ("study", "runs_dir")

FOLDER = "a run's folder is RUNS_DIR/STUDY/ROW/seed=K, where tables and reports look for it; choose runs_dir=... for it"
FIXED = {  # of Hydra's own settings those that a run cannot follow: the value that they have, and the reason
    "run.dir": ("outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}", FOLDER),
    "sweep.dir": ("${runs_dir}", FOLDER),
    "sweep.subdir": ("${study}/${row}/seed=${seed}", FOLDER),
    "verbose": (False, "a run keeps no log of Hydra's, so this would show nothing; leave it out"),
    "job.chdir": (False, "runs do not change the working folder, so that a path means the same in all; leave it out"),
}


def read(context: GlobalHydra, words: list[str]) -> list[Override]:
    """The overrides, Hydra's own among them. Raises UserError if one cannot be read or meant."""
    parser = OverridesParser.create(config_loader=context.config_loader())
    overrides = [_parsed(parser, word) for word in words]
    for override in overrides:
        choices = context.config_loader().get_group_options(override.key_or_group)
        if not is_hydras(override.input_line or ""):
            _check(override, choices)
        elif choices and not override.is_delete():
            _check_choice(override, choices)
    return overrides


def check_single(context: GlobalHydra, words: list[str]) -> None:
    """Raise UserError if an override cannot be read or meant, or has several values, where one configuration is asked for."""
    for override in read(context, words):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: give one value; several are for ablations train")


def is_hydras(word: str) -> bool:
    """Whether an override is of Hydra's own configuration, not of a run's."""
    return re.match(r"[+~]*hydra(?![\w-])", word) is not None


def check_hydras(hydra: DictConfig, but: tuple[str, ...] = ()) -> None:
    """Raise UserError if Hydra's own part of a configuration, from a command or a file, has what a run cannot follow.

    but: what may be chosen here.
    """
    for setting, (value, reason) in FIXED.items():
        if setting in but:
            continue
        group, _, name = setting.rpartition(".")
        values = OmegaConf.to_container(OmegaConf.masked_copy(hydra[group] if group else hydra, [name]))
        assert isinstance(values, dict)
        if values[name] not in (value, None):
            shown = str(values[name]).lower() if isinstance(values[name], bool) else values[name]
            raise UserError(f"hydra.{setting}={shown}: {reason}")


def check_comma(override: Override) -> None:
    """Raise UserError for 0,05, two values that were meant as one; and for learning rates 0 and N, of which one learns nothing."""
    key, word = override.key_or_group, str(override.input_line)
    second = r"\d+" if key == "recipe.learning_rate" else r"0\d+"
    if re.fullmatch(rf"{re.escape(key)}=(0,{second}|\d+,0\d+)", word):
        raise UserError(f"{word}: a comma stands between two values; for one, type {word.replace(',', '.')}")


def key_of(override: Override, default: DictConfig) -> str:
    """The key as Hydra takes it; without a plus, which only the group of a user's own needs, that is not in `default`.

    default: the composed defaults, with Hydra's own part.
    """
    choices = default.hydra.runtime.choices
    is_new = override.key_or_group not in choices and bool(
        override.config_loader and override.config_loader.get_group_options(override.key_or_group)
    )
    plain = override.get_key_element().lstrip("+")
    return f"+{plain}" if is_new and override.is_add() else plain


def values_of(override: Override) -> list[str]:
    """The values, several in a sweep, as Hydra would read them again."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def texts_of(override: Override) -> list[str]:
    """The values without quotes and escapes."""
    elements = _elements(override)
    return [
        element if isinstance(element, str) else value
        for element, value in zip(elements, values_of(override), strict=True)
    ]


def _elements(override: Override) -> list:
    """The values as Hydra would set them, unquoted."""
    elements = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    return [element.text if isinstance(element, QuotedString) else element for element in elements]


def _parsed(parser: OverridesParser, word: str) -> Override:
    if "=" not in word and not word.startswith(("~", "-")):
        raise quoting.no_setting(word, "train")
    try:
        [override] = parser.parse_overrides([word])
    except HydraException as error:
        raise quoting.unreadable(word, error) from error
    if not override.key_or_group:
        raise UserError(f"{word}: the name of a setting is missing")
    return override


def _check_choice(override: Override, choices: list[str]) -> None:
    """Raise UserError if what is chosen in a group is no name, as a number or a list."""
    if override.is_sweep_override() and not override.is_discrete_sweep():
        return
    if not (wrong := [element for element in _elements(override) if not isinstance(element, str)]):
        return
    name, each = override.key_or_group, _legal(choices)
    if isinstance(wrong[0], list) and wrong[0] and all(isinstance(choice, str) for choice in wrong[0]):
        each = f"for one run with each: {override.get_key_element()}={','.join(wrong[0])}"
    elif str(wrong[0]) in choices:
        each = f"for the file of this name: {shlex.quote(f'{name}={quoting.quoted(str(wrong[0]))}')}"
    raise UserError(f"{override.input_line}: a run has exactly one {name}; {each}")


def _legal(choices: list[str]) -> str:
    return f"legal are {', '.join(choices)}" if len(choices) < 25 else "ablations train --help lists them"


def _check(override: Override, choices: list[str]) -> None:
    """choices: of a group its files and classes, else empty."""
    name, word = override.key_or_group, override.input_line or ""
    legal = _legal(choices)
    if override.is_delete():
        instead = f"{name}=none" if name in OPTIONAL else f"another one with {name}=..."
        what = f"every run has one {name}" if choices else "a setting cannot be removed"
        raise UserError(f"{word}: {what}; leave this out for the default, or choose {instead}")
    if override.is_force_add() and choices:
        plus = "" if searchpath.is_ours(name) else "+"
        raise UserError(f"{word}: a choice is not added twice; type {plus}{word.lstrip('+')}")
    if override.is_sweep_override() and not override.is_discrete_sweep():
        if choices:
            raise UserError(
                f"{word}: a {name} is no number. To search among several: {shlex.quote(f'{name}=choice({choices[0]},...)')}; {legal}"
            )
        return  # for a sweeper to say
    if isinstance(override._value, Glob) and not choices:
        raise UserError(f"{word}: glob(...) chooses among the files of a group, and {name} is a single setting")
    elements = _elements(override)
    if not elements:
        raise UserError(f"{word}: matches nothing" + (f"; {legal}" if choices else ": it is no value at all"))
    if "" in elements:
        raise quoting.empty(word)
    if choices:
        _check_choice(override, choices)
    if name in SINGLE and len(elements) > 1:
        line = quoting.retyped(word, f"{name}={quoting.quoted(override.get_value_string())}")
        raise UserError(f"{word}: give one {name}. If the comma is part of it: {line}")
