"""Help texts: `ablations COMMAND --help` for what most people need, `--help all` with the rest."""

import re
import textwrap

from ablations.cli import commands

WIDTH = 80  # columns
ALL = "all"


def text(command: str, *, everything: bool) -> str:
    """A command's help. everything: also what few people need, where the command has that."""
    module = commands.load(command)
    more = getattr(module, "MORE", "")
    parts = [module.HELP, more] if everything and more else [module.HELP]
    if more and not everything:
        parts.append(f"`ablations {command} --help {ALL}` lists all settings.\n")
    return _filled("\n".join(parts), _words(command))


def _words(command: str) -> dict[str, str]:
    """What stands in braces in a help text."""
    from ablations.compilers import target
    from ablations.config import searchpath, study
    from ablations.config.logger import LOGGERS
    from ablations.data.config import DATASETS

    figures = (figure.name for name in study.names() for figure in study.load(name).figures)
    networks, own = _choices("model"), _own_families()
    lists = {
        "shortcuts": _choices("shortcut"),
        "resnets": [name for name in networks if name in own or re.fullmatch(r"resnet\d+", name)],
        "recipes": sorted(searchpath.choices("recipe")),
        "studies": study.names(),
        "datasets": list(DATASETS),
        "figures": list(dict.fromkeys(figures)),
        "gpus": target.gpus(),
        "tpus": target.tpus(),
        "loggers": list(LOGGERS),
    }
    words = {name: ", ".join(listed) for name, listed in lists.items()}
    return words | {
        "networks": str(len(networks)),
        "groups": _groups(),
        "shared": commands.SHARED.format(command=command),
    }


def _choices(group: str) -> list[str]:
    """The choices of a group, those that a user's file defines too; networks by their depth."""
    from ablations.config import searchpath
    from ablations.networks.activation import ORDERS
    from ablations.networks.scaling import SHORTCUTS

    defined = {"shortcut": SHORTCUTS, "activation": ORDERS, "model": _own_families()}
    choices = searchpath.choices(group) | set(defined.get(group, ()))
    return sorted(choices, key=_by_depth) if group == "model" else sorted(choices)


def _own_families() -> list[str]:
    """Those that a user's file defines; the project's are in files of conf/model/."""
    from ablations.networks.registry import FAMILIES, is_ours

    return [name for name, family in FAMILIES.items() if not is_ours(family)]


def _by_depth(name: str) -> list:
    """To sort networks by their letters and then by their numbers, resnet20 before resnet110."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _groups() -> str:
    lines = [
        textwrap.fill(", ".join(_choices(group)), WIDTH, initial_indent=f"    {group:12}", subsequent_indent=" " * 16)
        for group in ("shortcut", "activation", "model", "data", "recipe")
    ]
    return "\n".join(lines)


def _filled(text: str, words: dict[str, str]) -> str:
    """A help text with these words; a list that is too long for its line goes on in the column of explanations."""
    lines = []
    for line in text.splitlines():
        filled, start = line.format(**words), re.match(r" *(\S+  +)?", line)
        column = start.end() if start else 0
        wrapped = column and "{" in line and len(filled) > WIDTH and "\n" not in filled
        lines.append(textwrap.fill(filled, WIDTH, subsequent_indent=" " * column) if wrapped else filled)
    return "\n".join(lines)
