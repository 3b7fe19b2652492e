"""The command line: `ablations SUBCOMMAND`, then Hydra's syntax."""

import functools
import os
import sys

from ablations import manual
from ablations.errors import UserError


def main() -> None:
    """The console script: exit code 0, 2 on a user's mistake, 130 on Ctrl-C."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(manual.HELP, end="")
        return
    if arguments[0] == "--version":
        from ablations import __version__

        print(f"ablations {__version__}")
        return
    # No shell writes a home folder out after "=" behind a dot, and to Hydra "~" is a deletion.
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
        sys.stderr.close()  # `ablations table | head`: nobody reads on
        code = 0
    sys.exit(code)


def dispatch(command: str, arguments: list[str]) -> int:
    """Run a subcommand and return its exit code."""
    if command in ("-sc", "completion"):
        return (complete if command == "-sc" else completion)(arguments) or 0
    if command not in COMMANDS:
        raise UserError(f"{command}: unknown subcommand; legal are {', '.join(COMMANDS)}, completion")
    if {"-h", "--help"} & set(arguments):
        from ablations import study
        from ablations.data import DATASETS
        from ablations.logger import LOGGERS

        words = {"groups": _groups(), "studies": ", ".join(study.names()), "datasets": ", ".join(DATASETS)}
        figures = (figure.name for name in study.names() for figure in study.load(name).figures)
        words["figures"] = ", ".join(dict.fromkeys(figures))
        words["loggers"] = ", ".join(LOGGERS)
        words["shared"] = manual.SHARED.format(command=command)
        print(manual.OF[command].format(**words), end="")
        return 0
    return COMMANDS[command](arguments) or 0


def _groups() -> str:
    import textwrap
    from importlib import resources

    lines = []
    for group in ("shortcut", "activation", "model", "data", "recipe"):
        files = (resources.files("ablations.conf") / group).iterdir()
        choices = sorted(path.name.removesuffix(".yaml") for path in files)
        if group == "model":
            choices.sort(key=lambda name: (int("".join(c for c in name if c.isdigit())[:4] or 0), name))
        text = textwrap.fill(", ".join(choices), 100, initial_indent=f"    {group:12}", subsequent_indent=" " * 16)
        lines.append(text)
    return "\n".join(lines)


def plan(arguments: list[str]) -> int:
    from ablations import plan_table

    return plan_table.command(arguments)


def status(arguments: list[str]) -> int:
    from ablations import status_table

    return status_table.command(arguments)


def bench(arguments: list[str]) -> int:
    from ablations import bench

    return bench.command(arguments)


def train(arguments: list[str]) -> int:
    from ablations import malloc

    malloc.use_huge_pages()
    from ablations import compose, detached, launch, sweep

    arguments = [a for a in arguments if a not in ("-m", "--multirun")]
    with compose.hydra() as context:
        if arguments[:1] == ["--cfg"]:
            from omegaconf import OmegaConf

            compose.check_launcher(arguments)
            composed = compose.compose(context, arguments[2:])
            if arguments[1:2] == ["hydra"]:
                print(OmegaConf.to_yaml({"hydra": {"launcher": composed.hydra.launcher}}), end="")
                return 0
            print(OmegaConf.to_yaml(OmegaConf.masked_copy(composed, [k for k in composed if k != "hydra"])), end="")
            return 0
        detach = detached.OPTION in arguments
        arguments = [a for a in arguments if a != detached.OPTION]
        if flags := [a for a in arguments if a.startswith("-")]:
            raise UserError(f"{flags[0]}: unknown option; see ablations train --help")
        return launch.run(context, sweep.plan(context, arguments), arguments, detach=detach)


def table(arguments: list[str]) -> int:
    from ablations import render

    return render.command(arguments)


def figure(arguments: list[str]) -> int:
    from ablations import figure

    return figure.command(arguments)


def report(arguments: list[str]) -> int:
    from ablations import report

    return report.command(arguments)


def data(arguments: list[str]) -> None:
    if arguments[:1] != ["prepare"]:
        raise UserError("data: say what to do: ablations data prepare data=cifar10; see ablations data --help")
    if wrong := [a for a in arguments[1:] if not a.startswith(("data=", "data."))]:
        raise UserError(f"{wrong[0]}: settings are data=... and data.KEY=...; see ablations data --help")
    if not any(a.startswith("data=") for a in arguments):
        raise UserError("data prepare: say which data set: data=cifar10; see ablations data --help")
    from ablations import compose, data, sweep

    with compose.hydra() as context:
        jobs = sweep.plan(context, arguments[1:])
    for config in {repr(job.config.data): job.config.data for job in jobs}.values():
        place = data.prepare(config, download=True)
        print(f"{config.name}: is in {place}" if place else f"{config.name}: comes with a package: nothing to prepare")
        if broken := data.check(config):
            raise UserError(f"{len(broken):,} images are broken; mend or remove them: {', '.join(broken)}")


def evaluate(arguments: list[str]) -> None:
    from ablations import evaluate

    evaluate.command(arguments)


def export(arguments: list[str]) -> int:
    from ablations import export

    return export.command(arguments)


def dashboard(arguments: list[str]) -> None:
    from ablations import dashboard

    dashboard.command(arguments)


def why(kind: str, arguments: list[str]) -> int:
    from ablations import why

    return why.command(kind, arguments)


def completion(_arguments: list[str]) -> None:
    """Print the code for bash: eval "$(ablations completion)"."""
    print(BASH)


def complete(_arguments: list[str]) -> None:
    """Answer bash: the line so far is in COMP_LINE."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) <= 2:
        print(*COMMANDS, "completion")
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

    from ablations import compose

    with compose.hydra() as context:
        for plugin in Plugins.instance().discover(CompletionPlugin):
            if plugin.provides() == "bash":
                found = plugin(context.config_loader())._query("config", " ".join(settings))
                print(" ".join(choice for choice in found if not choice.startswith(("schema", "/schema"))))


COMMANDS = {
    "plan": plan,
    "bench": bench,
    "train": train,
    "status": status,
    "table": table,
    "figure": figure,
    "report": report,
    "data": data,
    "eval": evaluate,
    "export": export,
    "dashboard": dashboard,
    **{kind: functools.partial(why, kind) for kind in ("probe", "lesion", "landscape")},
}

BASH = """\
_ablations() {
    local IFS=$' \\n'
    COMPREPLY=($(compgen -o nospace -W "$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ablations -sc query=bash)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _ablations ablations\
"""
