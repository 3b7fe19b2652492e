"""Completion of commands and settings in bash."""

import os

from ablations.cli.arguments import OPTIONS, obey, take_options
from ablations.cli.commands import COMMANDS
from ablations.errors import UserError

HELP = """\
ablations completion

Prints the code that completes commands and settings in bash. Put this line into
~/.bashrc:

    eval "$(ablations completion)"
"""


def command(_arguments: list[str]) -> None:
    print(BASH)


def complete(_arguments: list[str]) -> None:
    """Print the completions for bash, which passes the line so far in COMP_LINE."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) <= 2:
        print(*COMMANDS)
        return
    if words[1] == "data" and len(words) == 3:
        print("prepare")
        return
    if words[1] not in ("plan", "bench", "train", "status", "data"):
        return
    settings = words[3:] if words[1] == "data" else words[2:]
    if len(settings) > 1 and settings[-2] in OPTIONS:
        return  # bash itself completes files
    if settings[-1].startswith("-"):
        print("--import --config-dir", "--detach --cfg --help" if words[1] == "train" else "--help")
        return
    try:
        options, settings = take_options(settings)
        obey(options)
    except UserError:
        pass  # the command itself will report it; complete what is known without
    from hydra.core.plugins import Plugins
    from hydra.plugins.completion_plugin import CompletionPlugin

    from ablations.config import compose

    with compose.hydra() as context:
        for plugin in Plugins.instance().discover(CompletionPlugin):
            if issubclass(plugin, CompletionPlugin) and plugin.provides() == "bash":
                choices = plugin(context.config_loader())._query("config", " ".join(settings))
                print(" ".join(choice for choice in choices if not choice.startswith(("schema", "/schema"))))


BASH = """\
_ablations() {
    local IFS=$' \\n'
    COMPREPLY=($(compgen -o nospace -W "$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ablations -sc query=bash)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _ablations ablations\
"""
