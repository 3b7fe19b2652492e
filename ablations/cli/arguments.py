"""What a command is told: settings of its own, and overrides for Hydra."""

from ablations.errors import UserError


def key_values(arguments: list[str], command: str) -> dict[str, str]:
    """Raises UserError where an argument is not key=value."""
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument}: settings are key=value; see ablations {command} --help")
    return dict(argument.split("=", 1) for argument in arguments)


def split(arguments: list[str], own: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The command's own settings, with their defaults in `own`, and the rest, without Hydra's flag for several runs."""
    given = [argument for argument in arguments if "=" in argument and argument.partition("=")[0] in own]
    overrides = [argument for argument in arguments if argument not in given and argument not in ("-m", "--multirun")]
    return own | dict(argument.split("=", 1) for argument in given), overrides
