"""Completion of commands, settings and Hydra's flags in bash, zsh and fish."""

import contextlib
import os

from ablations.cli import hydra_flags
from ablations.cli.arguments import OPTIONS, obey_options, take_options
from ablations.cli.commands import COMMANDS, load
from ablations.errors import UserError

ACTIONS = ("install", "uninstall", "query")

HELP = """\
ablations completion [bash|zsh|fish]

Prints the code that completes commands, settings and their values in a shell,
bash if none is named. Put the shell's line where it starts:

    eval "$(ablations completion bash)"     ~/.bashrc
    eval "$(ablations completion zsh)"      ~/.zshrc
    ablations completion fish | source      ~/.config/fish/config.fish

`ablations -sc install=bash` prints the same, and `ablations -sc uninstall=bash`
takes it back.
"""


def command(arguments: list[str]) -> None:
    """Print the code for a shell."""
    obey([f"install={shell}" for shell in arguments or ["bash"]])


def obey(arguments: list[str]) -> None:
    """Hydra's --shell-completion: install=SHELL, uninstall=SHELL, or query=SHELL, with the line so far in COMP_LINE."""
    first, *others = sorted(arguments, key=lambda word: not word.startswith(ACTIONS)) or [""]
    action, _, shell = first.partition("=")
    if others:
        raise UserError(f"{others[0]}: nothing may stand beside -sc; type ablations -sc {first}")
    if action not in ACTIONS or shell not in INSTALL:
        raise UserError(f"completion is for {', '.join(INSTALL)}: type ablations completion bash, or -sc install=bash")
    if action == "query":
        choices = _choices(os.environ.get("COMP_LINE", "").split(" "))
        print(*choices, sep=" " if shell == "bash" else "\n")
    else:
        print(INSTALL[shell] if action == "install" else UNINSTALL[shell])


def _choices(words: list[str]) -> list[str]:
    """What may stand in place of the last word of a line."""
    if len(words) <= 2:
        return [*COMMANDS]
    command, settings = words[1], words[2:]
    if command == "data" and len(settings) == 1:
        return ["prepare"]
    if command == "completion":
        return [*INSTALL]
    if command not in COMMANDS:
        return []
    if legal := _legal(command, settings):
        return legal
    if not hasattr(load(command), "OWN"):
        return []
    if len(settings) > 1 and settings[-2] in OPTIONS:
        return []  # the shell itself completes files
    if len(settings) > 1 and (legal := hydra_flags.choices(settings[-2])):
        return legal
    if settings[-1].startswith("-"):
        return [*OPTIONS, *hydra_flags.names(), *(["--detach"] if command == "train" else [])]
    own = [f"{key}=" for key in load(command).OWN if key.startswith(settings[-1])]
    try:
        options, before = take_options(settings[command == "data" : -1])
        _, before = hydra_flags.parse(before)
    except UserError:
        return own  # the command itself will report it
    with contextlib.suppress(UserError):  # here, too; complete what is known without
        obey_options(options)
    return own + _settings([*before, settings[-1]])


def _legal(command: str, settings: list[str]) -> list[str]:
    """All that the last setting may be, of those whose values are no files of a group; nothing for others."""
    from ablations.compilers import target
    from ablations.config import run, study

    key, _, value = settings[-1].partition("=")
    legal = {
        "study": study.names,
        "row": lambda: _rows(settings[:-1], value),
        "packing": lambda: run.PACKINGS,
        "precision": lambda: run.PRECISIONS,
        "matmul_precision": lambda: run.MATMUL_PRECISIONS,
        "platform": lambda: target.PLATFORMS,
        "target": target.gpus,
        "format": lambda: _formats(command),
    }
    return [f"{key}={value}" for value in legal[key]()] if key in legal else []


def _rows(settings: list[str], begun: str) -> list[str]:
    """The rows of the study that was chosen before, after those that are there already, separated by commas."""
    from ablations.config import study

    [*_, name] = ["", *(word.removeprefix("study=") for word in settings if word.startswith("study="))]
    with contextlib.suppress(UserError):  # no such study, or a file that is none: the command will say it
        before = begun[: begun.rfind(",") + 1]
        return [before + row.name for row in study.load(name).rows] if name else []
    return []


def _formats(command: str) -> tuple[str, ...]:
    from ablations.cli import table
    from ablations.compilers import kernel_table
    from ablations.costs import bench
    from ablations.launch import plan_table, status_table
    from ablations.reports.formats import PICTURES
    from ablations.tables import critical_table

    printing = {"table": table, "plan": plan_table, "status": status_table, "bench": bench, "inspect": kernel_table}
    printing |= {"critical": critical_table}
    if command in printing:
        return printing[command].FORMATS
    return PICTURES if command in ("figure", "probe", "lesion", "landscape") else ()


def _settings(words: list[str]) -> list[str]:
    """What Hydra would complete the last of these settings to."""
    from hydra.core.plugins import Plugins
    from hydra.plugins.completion_plugin import CompletionPlugin

    from ablations.config import compose, searchpath

    with compose.hydra() as context:
        [bash] = [p for p in Plugins.instance().discover(CompletionPlugin) if p.__name__ == "BashCompletion"]
        assert issubclass(bash, CompletionPlugin)
        found = bash(context.config_loader())._query(searchpath.primary(), " ".join(words))
    return [choice for choice in found if not choice.startswith(("schema", "/schema"))]


INSTALL = {
    "bash": """\
_ablations() {
    local IFS=$' \\n'
    COMPREPLY=($(compgen -o nospace -W "$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ablations -sc query=bash)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _ablations ablations\
""",
    "zsh": """\
_ablations() {
    local -a choices
    choices=(${(f)"$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" ablations -sc query=zsh)"})
    compadd -Q -S '' -a choices || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _ablations ablations\
""",
    "fish": """\
function _ablations
    set -lx COMP_LINE (commandline -cp)
    ablations -sc query=fish
end
complete -c ablations -a '(_ablations)'\
""",
}
UNINSTALL = {
    "bash": "complete -r ablations; unset -f _ablations",
    "zsh": "compdef -d ablations; unfunction _ablations",
    "fish": "complete -e -c ablations; functions -e _ablations",
}
