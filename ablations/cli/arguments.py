"""A command's arguments: options that all commands have, settings of its own, and overrides for Hydra."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from ablations.config import quoting
from ablations.errors import UserError

if TYPE_CHECKING:
    from ablations.compilers.target import Target

# The options of all commands: what follows each, and an example.
CONFIG_NAME = ("--config-name", "-cn")
OPTIONS = {
    "--import": ("a file", "mine.py"),
    **dict.fromkeys(("--config-dir", "-cd"), ("a folder", "conf")),
    **dict.fromkeys(CONFIG_NAME, ("a name", "mine")),
}
SEARCHPATH = "hydra.searchpath"

# The settings that choose devices to compile for; see `chosen_target`.
TARGET = {"platform": "", "target": "", "topology": ""}


def key_values(arguments: list[str], command: str) -> dict[str, str]:
    """Arguments as a dictionary, without quotes. Raises UserError if one is not key=value."""
    return dict(quoting.setting(argument, command) for argument in arguments)


def take_options(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options of all commands and hydra.searchpath, in their order, and the remaining arguments.

    An option is written --import FILE or --import=FILE. Raises UserError if an option has no value.
    """
    options, rest, words = [], [], iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option == SEARCHPATH and equals:
            options.append((option, value))
        elif option not in OPTIONS:
            rest.append(word)
        elif value := value if equals else next(words, ""):
            options.append((option, value))
        else:
            what, example = OPTIONS[option]
            raise UserError(f"{option}: {what} is missing, such as {option} {example}")
    return options, rest


def obey_options(options: list[tuple[str, str]]) -> None:
    """Import the user's files, and find configuration files in the user's folders from now on."""
    if not options:
        return
    from ablations.config import imports, searchpath

    for option, value in options:
        if option == SEARCHPATH:
            for location in searchpath.parse(value):
                searchpath.add(location, f"{SEARCHPATH}={value}: {location}")
        elif option == "--import":
            imports.load(value)
        elif option in CONFIG_NAME:
            searchpath.choose(value)
        else:
            searchpath.add(value, f"{option} {value}")
    searchpath.check_chosen()


def check_choice(key: str, value: str, legal: Collection[str]) -> None:
    """Raise UserError, with the legal ones, if a setting of a command has another value."""
    if value not in legal:
        raise UserError(f"{key}={value}: legal are {', '.join(legal)}")


def yes_or_no(key: str, value: str) -> bool:
    """A setting that is true or false, in the words that Hydra takes. Raises UserError for another."""
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if value.lower() not in words:
        raise UserError(f"{key}={value}: legal are true, false")
    return words[value.lower()]


def split(arguments: list[str], own: dict[str, str], command: str) -> tuple[dict[str, str], list[str]]:
    """The command's own settings, whose defaults are `own`; and the other arguments."""
    chosen = [argument for argument in arguments if "=" in argument and argument.partition("=")[0] in own]
    overrides = [argument for argument in arguments if argument not in chosen]
    return own | key_values(chosen, command), overrides


def chosen_target(settings: dict[str, str]) -> "Target | None":
    """The devices to compile for, of a command with the settings `TARGET`; None for those of this machine.

    Raises UserError, with the legal ones, for what there is not.
    """
    asked = {key: settings[key] for key in TARGET}
    if not any(asked.values()):
        return None
    if not asked["platform"]:
        key = next(key for key in asked if asked[key])
        platform = "cuda" if key == "target" else "tpu"
        raise UserError(f"{key}={asked[key]}: say what to compile for, too: platform={platform}")
    from ablations.compilers.target import choose

    return choose(**asked)
