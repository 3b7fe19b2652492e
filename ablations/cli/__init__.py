"""The command line: `ablations COMMAND`, then settings in Hydra's syntax."""

import os
import sys

from ablations.cli import commands, completion
from ablations.cli.arguments import obey, take_options
from ablations.cli.commands import COMMANDS
from ablations.errors import UserError
from ablations.system import malloc


def main() -> None:
    """The console script. Exits with 2 after a user's mistake, 130 after Ctrl-C, and else with the command's code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(commands.HELP, end="")
        return
    if arguments[0] == "--version":
        from ablations import __version__

        print(f"ablations {__version__}")
        return
    # No shell expands "~" in data.archive_dir=~/downloads, and for Hydra "~" means a deletion.
    arguments = [argument.replace("=~/", f"={os.path.expanduser('~')}/", 1) for argument in arguments]
    try:
        code = dispatch(arguments[0], arguments[1:])
    except UserError as error:
        print(f"ablations: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("ablations: interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()  # `ablations table | head` stops reading
        code = 0
    sys.exit(code)


def dispatch(command: str, arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    if command == "-sc":
        return completion.complete(arguments) or 0
    if command not in COMMANDS:
        raise UserError(f"{command}: unknown command; legal are {', '.join(COMMANDS)}")
    asks_for_help = bool({"-h", "--help"} & set(arguments))
    if command == "train" and not asks_for_help:
        malloc.use_huge_pages()  # it starts the process again, so it comes before a user's file is run
    options, arguments = take_options(arguments)
    obey(options)
    if asks_for_help:
        from ablations.cli import help

        print(help.text(command, everything=help.ALL in arguments))
        return 0
    return commands.load(command).command(arguments) or 0
