"""What a command is told: options that all have, settings of its own, and overrides for Hydra."""

from ablations.errors import UserError

# Of all commands: what follows each, and an example.
OPTIONS = {"--import": ("a file", "mine.py"), "--config-dir": ("a folder", "conf"), "-cd": ("a folder", "conf")}

SEARCHPATH = "hydra.searchpath"


def key_values(arguments: list[str], command: str) -> dict[str, str]:
    """Raises UserError where an argument is not key=value."""
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument}: settings are key=value; see ablations {command} --help")
    return dict(argument.split("=", 1) for argument in arguments)


def take_options(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """What is given of OPTIONS and of hydra.searchpath, in this order, as --import FILE or --import=FILE; and the rest.

    Raises UserError where an option has no value.
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
            raise UserError(f"{option}: {what} is missing, as {option} {example}")
    return options, rest


def obey(options: list[tuple[str, str]]) -> None:
    """Import a user's files and look for configuration files in a user's folders, from now on."""
    if not options:
        return
    from ablations.config import imports, searchpath

    for option, value in options:
        if option == SEARCHPATH:
            for place in searchpath.parse(value):
                searchpath.add(place, f"{SEARCHPATH}={value}: {place}")
        elif option == "--import":
            imports.load(value)
        else:
            searchpath.add(value, f"{option} {value}")


def split(arguments: list[str], own: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The command's own settings, with their defaults in `own`, and the rest, without Hydra's flag for several runs."""
    given = [argument for argument in arguments if "=" in argument and argument.partition("=")[0] in own]
    overrides = [argument for argument in arguments if argument not in given and argument not in ("-m", "--multirun")]
    return own | dict(argument.split("=", 1) for argument in given), overrides
