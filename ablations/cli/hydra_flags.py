"""Hydra's own flags, in the commands that compose configurations: most of them print something in place of a run."""

import contextlib
import io
from argparse import ArgumentError, ArgumentParser, Namespace

from ablations.errors import UserError

REFUSED = {
    "config_path": "--config-path: the project's own files are always found first; add a folder with --config-dir DIR, "
    "and choose a file in it with --config-name NAME",
    "experimental_rerun": "--experimental-rerun: type the command again; a run goes on from its last checkpoint",
}
WITH_CFG = {"resolve": "--resolve", "package": "--package"}
OF_NO_RUN = ("plugins", "searchpath")  # what --info says of Hydra, not of one configuration


def take(command: str, own: dict[str, str], arguments: list[str]) -> list[str] | None:
    """The arguments with nothing of Hydra's flags but what runs need; None if what they ask for has been printed.

    own: the settings of the command, which are no overrides.
    """
    if not any(word.startswith("-") for word in arguments):
        return arguments
    flags, rest = parse(arguments)
    if flags.multirun and flags.run:
        raise UserError("--run and --multirun: choose one of them")
    if not (flags.cfg or flags.info or flags.hydra_help):
        return [*rest, *(["hydra.mode=RUN"] if flags.run else [])]
    words = [word for word in rest if word.partition("=")[0] not in own and word != "prepare"]
    if unknown := [word for word in words if word.startswith("-")]:
        raise UserError(f"{unknown[0]}: no option beside --cfg, --info or --hydra-help; see ablations {command} --help")
    _print(flags, words)
    return None


def parse(arguments: list[str]) -> tuple[Namespace, list[str]]:
    """Hydra's flags, and all other words in their order. Raises UserError for a flag that cannot be obeyed here."""
    try:
        flags, rest = _parser().parse_known_args(arguments)
    except ArgumentError as error:
        raise UserError(f"{error.argument_name}: {error.message}") from error
    if refused := [reason for name, reason in REFUSED.items() if getattr(flags, name)]:
        raise UserError(refused[0])
    if alone := [flag for name, flag in WITH_CFG.items() if getattr(flags, name) and not flags.cfg]:
        raise UserError(f"{alone[0]} belongs to --cfg job, --cfg hydra or --cfg all")
    return flags, rest


def names() -> list[str]:
    """Those that can be obeyed, in full."""
    flags = (action.option_strings[0] for action in _parser()._actions if action.dest not in REFUSED)
    return [flag for flag in flags if flag.startswith("--")]


def choices(flag: str) -> list[str]:
    """What may follow a flag, such as job, hydra or all; nothing if that is not a choice, or it is no flag."""
    return [
        str(choice) for action in _parser()._actions if flag in action.option_strings for choice in action.choices or ()
    ]


def _parser() -> ArgumentParser:
    """Hydra's parser, without overrides, of which argparse would take those before the first flag only."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.exit_on_error = False
    [overrides] = [action for action in parser._actions if not action.option_strings]
    parser._remove_action(overrides)
    return parser


def _print(flags: Namespace, words: list[str]) -> None:
    """What --cfg, --info or --hydra-help asks for. Raises UserError, after it, if a run would refuse the settings."""
    from hydra._internal.utils import get_args_parser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ablations.config import compose, jobs, overrides, searchpath

    with compose.hydra() as context:
        hydra, name, refusal = context.hydra, searchpath.primary(), None
        assert hydra is not None  # just initialized
        hydras = [word for word in words if overrides.is_hydras(word)]
        if flags.hydra_help:
            flags.overrides = hydras
            hydra.hydra_help(name, get_args_parser(), flags)
            return
        line = hydras
        if flags.cfg in ("job", "all") or flags.info not in (None, *OF_NO_RUN):
            line = [*hydras, *jobs.single_line(context, words)]
            try:
                jobs.plan(context, words)
            except UserError as error:
                refusal = error
        try:
            if flags.cfg:
                with contextlib.redirect_stderr(io.StringIO()):
                    hydra.show_cfg(name, line, flags.cfg, flags.package, flags.resolve)
            else:
                hydra.show_info(str(flags.info), name, line)
        except SystemExit:
            what = "there is no such setting, or it is null; leave --package out to see all"
            raise UserError(f"--package {flags.package}: {what}") from None
        except HydraException as error:
            raise UserError(compose.explain(error, context, line)) from error
        except OmegaConfBaseException as error:  # an interpolation
            hint = "; type --cfg all --resolve --package hydra" if flags.cfg == "hydra" else ""
            where = getattr(error, "full_key", None) or "--resolve"
            raise UserError(f"{where}: {str(error).splitlines()[0]}{hint}") from error
    if refusal:
        raise UserError(f"a run refuses what is shown: {refusal}")
