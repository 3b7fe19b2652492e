"""Composing a configuration with Hydra, and saying in one line what is wrong with it.

Hydra is known to this package, to `launch`, and to `cli` for what it prints and completes; nothing else uses it.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from importlib import resources
from importlib.util import find_spec

from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from ablations.config import imports, quoting, searchpath, user_file  # noqa: F401, imports: so that a user's class can be pickled
from ablations.config.choices import having
from ablations.config.distributed import DISTRIBUTED
from ablations.config.hydra_loader import Loader, without_hydras
from ablations.config.logger import ENVIRONMENT, LOGGERS
from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data.config import SCHEMAS, DataConfig
from ablations.errors import UserError
from ablations.networks import registry
from ablations.networks.activation import ORDERS, OURS
from ablations.networks.families.resnet import units_per_stage
from ablations.networks.family import FAMILIES
from ablations.networks.scaling import SHORTCUTS

LAUNCHER_EXTRAS = {"slurm": "slurm", "slurm_multinode": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
FEW = 24  # choices that a message lists
PLUGINS = {"slurm": "submitit", "ray": "ray"}

_faults: dict[tuple, dict[tuple[str, str], str]] = {}  # of what is registered at present


@contextmanager
def hydra() -> Iterator[GlobalHydra]:
    """Hydra with the project's groups and schemas, and what the user has added to them so far.

    A Hydra that the caller had initialized is restored afterwards.
    """
    register_schemas()
    callers, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_module("ablations.conf", version_base="1.3", job_name="ablations"):
            # Ours replaces hydra-ray-launcher's own choice of this name.
            ConfigStore.instance().repo["hydra"]["launcher"].pop("ray.yaml", None)
            instance = GlobalHydra.instance()
            assert instance.hydra is not None  # just initialized
            path = instance.config_loader().get_search_path()
            for location in searchpath.locations:
                path.prepend("command-line", location, anchor="schema")
            instance.hydra.config_loader = Loader(path, defined=_defined())
            yield instance
    finally:
        GlobalHydra.instance().hydra = callers


def compose(context: GlobalHydra, overrides: list[str]) -> DictConfig:
    """The composed configuration, including Hydra's own part.

    Raises UserError with one message that names the setting and what is legal.
    """
    assert context.hydra is not None  # only `hydra` makes a context
    try:
        composed = context.hydra.compose_config(searchpath.primary(), overrides, run_mode=RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, context, overrides)) from error
    if OmegaConf.get_type(composed) is not Config:
        name = searchpath.primary()
        raise UserError(f"--config-name {name}: {name}.yaml must begin with the project's: defaults: [config, _self_]")
    return composed


def check_launcher(overrides: list[str]) -> None:
    """Raise UserError, which names the extra to install, if a command chooses a launcher that is not installed."""
    for choice in (o.removeprefix("hydra/launcher=") for o in overrides if o.startswith("hydra/launcher=")):
        extra = LAUNCHER_EXTRAS.get(choice)
        if extra and find_spec(f"hydra_plugins.hydra_{PLUGINS[extra]}_launcher") is None:
            raise UserError(f"hydra/launcher={choice} needs an extra: pip install 'ablations[{extra}]'")


def explain(error: Exception, context: GlobalHydra, overrides: list[str]) -> str:
    """Hydra's message in one line, with what is legal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
    message = lines[0] if lines else repr(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file == searchpath.primary():
        name = searchpath.primary()
        message = f"--config-name {name}: there is no {name}.yaml in a folder named with --config-dir"
    elif hidden := _hidden(message):
        message = hidden
    elif several := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '([^=]+)=(.*)'", message):
        key, value = several.groups()
        message = (
            f"{key}={value}: a row has one value of each setting: make a row of each, or a grid. If it is a list, write "
            f"{key}=[{value}]; if it is one text, put it in quotes of its own: {key}={quoting.quoted(value)}"
        )
    elif inside := _inside(error, context):
        message = inside
    elif isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        message = f"{group}={choice}: unknown; {_legal(choice, error.options)}"
        if group == "model" and choice.removeprefix("resnet").isdigit():
            message += f". {_depth_advice(int(choice.removeprefix('resnet')))}"
        if kind := next((kind for kind in registry.KINDS if kind.group == group), None):
            message = register_schemas().get(
                (group, choice), f"{message}. For a {kind.word} of your own add --import FILE.py"
            )
    elif isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        key = message.split("'")[1]
        rest = [override for override in overrides if override.partition("=")[0].lstrip("+") != key]
        message = f"{key}: {_no_setting(key, compose(context, rest), context)}"
    elif isinstance(error.__cause__, OmegaConfBaseException):
        override = message.removeprefix("Error merging override ")
        message = quoting.no_list(override) if "not a ListConfig" in cause else f"{override}: {cause}"
    elif twice := re.match(r"Multiple values for (\S+)\. ", message):
        word = quoting.typed(f"+{twice[1]}", f"+{twice[1]}=...")
        message = f"{word}: every run has a choice of {twice[1]}; type {word.removeprefix('+')}"
    elif "To append to your default list" in lines[-1]:
        key = lines[-1].rpartition(" ")[2].partition("=")[0]
        word = quoting.typed(key.removeprefix("+"), lines[-1].rpartition(" ")[2].removeprefix("+"))
        message = f"{lines[0]} For a group of your own type +{word}"
    elif isinstance(error, OverrideParseException):
        message = str(quoting.unreadable(error.override, error))
    return message


def _hidden(message: str) -> str | None:
    """What to say if a folder beside the user's files has the name of a setting, which Hydra takes for its group."""
    refused = re.search(r"Could not override '(\w+)'", message)
    named = {field.name for field in fields(Config)} & {refused[1] if refused else ""}
    setting = "".join(named)
    folder = next((place / setting for place in searchpath.folders() if named and (place / setting).is_dir()), None)
    return (
        f"{folder}: a folder of configuration files hides the setting of its name: give it another name"
        if folder
        else None
    )


def _inside(error: Exception, context: GlobalHydra) -> str | None:
    """What is wrong in a user's own file; None if nothing is."""
    named = re.match("In '([^']+)': ", str(error))
    if not named or not (file := searchpath.file_of(named[1])):
        return None
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        legal = _legal(choice, context.config_loader().get_group_options(group))
        return f"{file}: in its defaults, {group}: {choice} is unknown; {legal}"
    reason = error.__cause__ or error.__context__
    return user_file.refused(file, named[1], reason) if isinstance(reason, OmegaConfBaseException) else None


def _no_setting(key: str, composed: DictConfig, context: GlobalHydra) -> str:
    """Why a configuration has no such setting: which are legal in its place, and which choices of its group have it."""
    group, _, name = key.rpartition(".")
    parent = OmegaConf.select(composed, group) if group else None
    message = "there is no such setting"
    if not group and (near := get_close_matches(key.replace("/", ".").lower(), [*_keys(composed)], n=1)):
        message += f"; the nearest is {near[0]}"
    elif not group:
        message += "; a group of your own is found with --config-dir DIR"
    if isinstance(parent, DictConfig) and not parent:  # such as hydra.job.env_set
        message += f"; a new one is typed with a plus, as +{quoting.typed(key, f'{key}=...')}"
    elif isinstance(parent, DictConfig):
        if others := having(group, name, context.config_loader().get_group_options(group)):
            chosen = composed.hydra.runtime.choices.get(group)
            has_it = " or ".join(f"{group}={other}" for other in others)
            message += f" with {group}={chosen}, but with {has_it}"
        message += f"; legal are {', '.join(map(str, parent))}"
    part = "hydra" if key.startswith("hydra") else "job"
    return f"{message}; ablations train --cfg {part} prints all of them"


def _keys(composed: DictConfig, prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings of a run."""
    for key, node in composed.items_ex(resolve=False):
        if prefix or key != "hydra":
            yield f"{prefix}{key}"
            if isinstance(node, DictConfig):
                yield from _keys(node, f"{prefix}{key}.")


def _legal(choice: str, options: Sequence[str]) -> str:
    """What can be chosen instead: all choices or, of many, the nearest."""
    if len(options) <= FEW:
        return f"legal are {', '.join(options)}"
    nearest = get_close_matches(choice, options, n=5)
    near = f"the nearest are {', '.join(nearest)}; " if nearest else ""
    return f"{near}ablations train --help all lists all {len(options)}"


def _depth_advice(depth: int) -> str:
    refusals = []
    for branch, like in (("basic", "resnet110"), ("bottleneck", "resnet164")):
        try:
            units_per_stage("cifar", branch, depth)
        except ValueError as error:
            refusals.append(str(error).partition(": ")[2])
        else:
            return f"For {depth} layers: model={like} model.depth={depth}"
    return f"Other depths: model=resnet110 model.depth=N; {refusals[0]}"


def register_schemas() -> dict[tuple[str, str], str]:
    """Store the schemas under /schema/..., where `conf/` finds them, and add choices that have no file there.

    Call it before each use of Hydra, since shortcuts, families and orders may have been defined meanwhile; it stores
    them anew only then. Returns the reasons why some shortcuts and families cannot be chosen, by group and name.
    """
    defined = (*_defined(), *searchpath.locations)
    if defined not in _faults:
        _faults.clear()
        _faults[defined] = _register()
    return _faults[defined]


def _defined() -> tuple:
    """What the choices and the defaults of their schemas depend on."""
    return (*SHORTCUTS.items(), *FAMILIES.items(), repr(ORDERS), *map(os.environ.get, ENVIRONMENT))


def _register() -> dict[tuple[str, str], str]:
    store = ConfigStore.instance()
    for group in ("shortcut", "activation", "model"):
        store.repo.pop(group, None)  # a name that is no longer defined must not be a choice
        store.repo.get("schema", {}).pop(group, None)
    store.store(group="schema", name="config", node=Config)
    for name, node in ORDERS.items():
        if name != node.name:
            raise UserError(f"ORDERS[{name!r}]: its order is named {node.name!r}; the two names must be equal")
        if node is not OURS.get(name, node):
            raise UserError(f"ORDERS[{name!r}] is one of the project's orders: give yours another name")
        _choice("activation", name, node)
    for name, node in LOGGERS.items():
        store.store(group="schema/logger", name=name, node=node)
    for name, node in DISTRIBUTED.items():
        store.store(group="schema/distributed", name=name, node=node)
    for name, node in SCHEMAS.items():
        store.store(group="schema/data", name=name, node=node)
    schemas = {"model": FAMILIES["resnet"], "data": DataConfig, "recipe": RecipeConfig}
    for name, node in schemas.items():  # schema/model: files from before there were other families
        store.store(group="schema", name=name, node=node)
    return _classes(registry.SHORTCUT, _choice) | _classes(registry.FAMILY, _family)


def _classes(kind: registry.Kind, add: Callable[[str, str, type], None]) -> dict[tuple[str, str], str]:
    """Make choices of all classes of this kind. Returns the reasons why some cannot be chosen."""
    faults = registry.faults(kind)
    for name, node in kind.classes.items():
        try:
            if name not in faults:
                add(kind.group, name, node)
        # a field whose type no setting can have
        except (OmegaConfBaseException, ValueError, TypeError, NameError) as error:
            if registry.is_ours(node):
                raise
            faults[name] = f"{registry.blame(node)}: {str(error).splitlines()[0]}"
    return {(kind.group, name): fault for name, fault in faults.items()}


def _family(group: str, name: str, node) -> None:
    """The schema of a family; of a user's also a choice, which chooses its own order and shortcut, too."""
    ConfigStore.instance().store(group=f"schema/{group}", name=name, node=node)
    if registry.is_ours(node):
        return
    if (resources.files("ablations.conf") / group / f"{name}.yaml").is_file():
        raise UserError(f"{registry.blame(node)}: the project has a file {group}/{name}.yaml: give it another family")
    overrides = []
    for other, setting, defined in (("activation", "own_order", ORDERS), ("shortcut", "own_shortcut", SHORTCUTS)):
        own, legal = getattr(node, setting), {*searchpath.choices(other), *defined}
        if own is not None and own not in legal:
            raise ValueError(f"{setting} = {own!r}: unknown; legal are {', '.join(sorted(legal))}")
        overrides += [{f"override /{other}": own}] if own else []
    chosen = {"defaults": [f"/schema/{group}/{name}@{group}", *overrides, "_self_"], group: {"name": name}}
    ConfigStore.instance().store(group=group, name=name, package="_global_", node=chosen)


def _choice(group: str, name: str, node) -> None:
    store = ConfigStore.instance()
    store.store(group=f"schema/{group}", name=name, node=node)
    if not (resources.files("ablations.conf") / group / f"{name}.yaml").is_file():
        store.store(group=group, name=name, node=node)


def plain(composed: DictConfig) -> dict:
    """The values of a composed configuration, which are not checked; without Hydra's own part."""
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    values = OmegaConf.to_container(own, resolve=True)
    assert isinstance(values, dict)
    return values


def parse(composed: DictConfig) -> Config:
    """Turn a composed Hydra configuration, which loses Hydra's own part, into a checked Config.

    Raises UserError with one message that names the setting if a value is missing or not legal.
    """
    try:
        config = OmegaConf.to_object(without_hydras(composed))
    except (OmegaConfBaseException, ValueError) as error:
        where = getattr(error, "full_key", None)  # of an interpolation that does not resolve
        message = str(error).split("\n")[0]
        raise UserError(f"{where}: {message}" if where and where not in message else message) from error
    assert isinstance(config, Config)  # by its schema
    return config
