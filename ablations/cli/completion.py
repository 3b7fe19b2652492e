"""Completion of commands and settings in bash."""

import os

from ablations.cli.commands import COMMANDS

HELP = """\
ablations completion

Prints the code that completes commands and settings in bash: put this line into ~/.bashrc.

    eval "$(ablations completion)"
"""


def command(_arguments: list[str]) -> None:
    print(BASH)


def complete(_arguments: list[str]) -> None:
    """Answer bash: the line so far is in COMP_LINE."""
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
    if settings[-1].startswith("-"):
        print("--detach --cfg --help" if words[1] == "train" else "--help")
        return
    from hydra.core.plugins import Plugins
    from hydra.plugins.completion_plugin import CompletionPlugin

    from ablations.config import compose

    with compose.hydra() as context:
        for plugin in Plugins.instance().discover(CompletionPlugin):
            if issubclass(plugin, CompletionPlugin) and plugin.provides() == "bash":
                found = plugin(context.config_loader())._query("config", " ".join(settings))
                print(" ".join(choice for choice in found if not choice.startswith(("schema", "/schema"))))


BASH = """\
_ablations() {
    local IFS=$' \\n'
    COMPREPLY=($(compgen -o nospace -W "$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ablations -sc query=bash)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _ablations ablations\
"""
