"""The command line: `ablations COMMAND`, then settings in Hydra's syntax."""

import errno
import os
import select
import shlex
import signal
import sys
from collections.abc import Sequence

from ablations.cli import commands, completion, hydra_flags
from ablations.cli.arguments import CONFIG_NAME, obey_options, take_options
from ablations.cli.commands import COMMANDS
from ablations.errors import UserError
from ablations.system import malloc
from ablations.system.files import why
from ablations.terminal.output import tell

ENDED_BY_SIGPIPE = 128 + signal.SIGPIPE  # the exit code of a program whose output nobody reads any more
OUTPUT_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # a full disk behind stdout, a terminal that is gone
# What a file system refuses; that a file is missing may be our mistake, and has a traceback.
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
REFUSED += (errno.ESTALE, errno.EMFILE, errno.ENFILE, *OUTPUT_LOST)


def main() -> None:
    """The console script. Exits with 2 after a user's mistake, 130 after Ctrl-C, and else with the command's code."""
    # No shell expands "~" in data.archive_dir=~/downloads, and for Hydra "~" means a deletion.
    arguments = [argument.replace("=~/", f"={os.path.expanduser('~')}/", 1) for argument in sys.argv[1:]]
    code = 0
    try:
        code = dispatch(*arguments[:1], arguments=arguments[1:])
        if sys.stdout:  # None where it is closed
            sys.stdout.flush()
    except UserError as error:
        tell(f"ablations: {error}")
        code = 2
    except KeyboardInterrupt:
        tell("ablations: interrupted")
        code = 130
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        code = code or ENDED_BY_SIGPIPE
    except OSError as error:
        if error.filename is None and error.errno in OUTPUT_LOST:
            _without_output(error)
            code = code or 1  # that of a run which the end of its terminal has stopped
        elif message := _refusal(error):
            tell(f"ablations: {message}")
            code = 2
        else:
            raise
    sys.exit(code)


def _nobody_reads() -> bool:
    """Whether the reader of what is printed has gone, as that of `ablations table | head` does; then no more is written."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    gone = any(event & select.POLLERR for _, event in output.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def _refusal(error: OSError) -> str | None:
    """What a user can mend of what the system refuses, in one line; None if it is a mistake of ours."""
    if error.errno is None:
        return str(error) or None  # matplotlib's, in words, that there is no folder for its fonts
    if error.filename is not None:
        return why(error) if error.errno in REFUSED else None
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder is gone: cd to another one"
    return f"{error.strerror}: name another with TMPDIR=..." if "temporary directory" in str(error.strerror) else None


def _without_output(error: OSError) -> None:
    """Say, if there is still somewhere to say it, that what was printed is lost."""
    tell(f"ablations: what was to be printed cannot be written: {error.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes as it ends


def _no_command(first: str, others: Sequence[str]) -> str:
    """What to say of a line that does not begin with a command."""
    if not first.startswith("-") and "=" not in first:
        return f"{first}: unknown command; legal are {', '.join(COMMANDS)}"
    command = next((word for word in others if word in COMMANDS), "train")
    line = shlex.join(["ablations", command, first, *(word for word in others if word != command)])
    return f"{first}: the command comes first; type: {line}"


def dispatch(command: str = "--help", arguments: Sequence[str] = ()) -> int:
    """Run a command and return its exit code."""
    arguments = [*arguments]
    if command in ("-h", "--help", "help"):
        print(commands.HELP, end="")
        return 0
    if command == "--version":
        from ablations import __version__

        print(f"ablations {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & {command, *arguments}:
        return completion.obey([word for word in arguments if "=" in word]) or 0
    if command not in COMMANDS:
        raise UserError(_no_command(command, arguments))
    asks_for_help = bool({"-h", "--help"} & set(arguments))
    if command == "train" and not asks_for_help:
        malloc.use_huge_pages()  # it starts the process again, so it comes before a user's file is run
    options, arguments = take_options(arguments)
    obey_options(options)
    if asks_for_help:
        from ablations.cli import help

        print(help.text(command, everything=help.ALL in arguments))
        return 0
    module = commands.load(command)
    if hasattr(module, "OWN"):  # it composes the configurations of runs
        left = hydra_flags.take(command, module.OWN, arguments)
        return 0 if left is None else module.command(left) or 0
    if named := [option for option, _ in options if option in CONFIG_NAME]:
        raise UserError(f"{named[0]}: {command} composes no runs; each run that there is has its own configuration")
    return module.command(arguments) or 0
