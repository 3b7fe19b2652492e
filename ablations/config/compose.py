"""Composing a configuration with Hydra, and saying in one line what was wrong with it.

Hydra is known to this module, `config_loader.py`, `sweep.py` and `launch.py`; to `config.py` for its store of schemas,
`slurm.py` for its state in a job, and `cli.py` for what it completes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.util import find_spec

from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from ablations.config import imports, searchpath  # noqa: F401, imports: so that a user's class can be pickled
from ablations.config.distributed import DISTRIBUTED
from ablations.config.hydra_loader import Loader
from ablations.config.logger import LOGGERS
from ablations.config.recipe import RecipeConfig
from ablations.config.run import Config
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.networks import registry
from ablations.networks.activation import ORDERS, PAPER
from ablations.networks.resnet.config import ModelConfig, units_a_stage
from ablations.networks.shortcut import SHORTCUTS

LAUNCHER_EXTRAS = {"slurm": "slurm", "slurm_multinode": "slurm", "submitit_slurm": "slurm", "ray": "ray"}

PLUGINS = {"slurm": "submitit", "ray": "ray"}


@contextmanager
def hydra() -> Iterator[GlobalHydra]:
    """Hydra with our groups and schemas, and what a user has added to them by now.

    A Hydra that the caller has of his own is there again afterwards.
    """
    register_schemas()
    theirs, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_module("ablations.conf", version_base="1.3", job_name="ablations"):
            # hydra-ray-launcher's own choice of this name gives way to ours.
            ConfigStore.instance().repo["hydra"]["launcher"].pop("ray.yaml", None)
            instance = GlobalHydra.instance()
            assert instance.hydra is not None  # just initialized
            path = instance.config_loader().get_search_path()
            for place in searchpath.places:
                path.prepend("command-line", place, anchor="schema")
            instance.hydra.config_loader = Loader(path, defined=(tuple(SHORTCUTS.values()), repr(ORDERS)))
            yield instance
    finally:
        GlobalHydra.instance().hydra = theirs


def compose(context: GlobalHydra, overrides: list[str]) -> DictConfig:
    """The composed configuration, Hydra's own part included.

    Raises UserError, one message that names the setting and what is legal.
    """
    assert context.hydra is not None  # only `hydra` makes a context
    try:
        return context.hydra.compose_config("config", overrides, run_mode=RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, context, overrides)) from error


def check_launcher(overrides: list[str]) -> None:
    """Raises UserError where a command chooses a launcher that is not installed; it names the extra."""
    for choice in (o.removeprefix("hydra/launcher=") for o in overrides if o.startswith("hydra/launcher=")):
        extra = LAUNCHER_EXTRAS.get(choice)
        if extra and find_spec(f"hydra_plugins.hydra_{PLUGINS[extra]}_launcher") is None:
            raise UserError(f"hydra/launcher={choice} needs an extra: pip install 'ablations[{extra}]'")


def explain(error: Exception, context: GlobalHydra, overrides: list[str]) -> str:
    """Hydra's message in one line, with what is legal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
    message = lines[0] if lines else repr(error)
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        message = f"{group}={choice}: unknown; legal are {', '.join(error.options)}"
        if group == "model" and choice.removeprefix("resnet").isdigit():
            message += f". {_depth_advice(int(choice.removeprefix('resnet')))}"
        if group == "shortcut":
            message = register_schemas().get(choice, f"{message}. For one of your own add --import FILE.py")
    elif isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        key = message.split("'")[1]
        rest = [override for override in overrides if override.partition("=")[0] != key]
        beside = OmegaConf.select(compose(context, rest), key.rpartition(".")[0]) if "." in key else None
        legal = f"; legal are {', '.join(map(str, beside))}" if isinstance(beside, DictConfig) else ""
        message = f"{key}: there is no such setting{legal}; ablations train --cfg job prints all of them"
    elif isinstance(error.__cause__, OmegaConfBaseException):
        message = f"{message.removeprefix('Error merging override ')}: {cause}"
    elif isinstance(error, OverrideParseException):
        message = f"{error.override}: {message}"
    return message


def _depth_advice(depth: int) -> str:
    refusals = []
    for branch, like in (("basic", "resnet110"), ("bottleneck", "resnet164")):
        try:
            units_a_stage("cifar", branch, depth)
        except ValueError as error:
            refusals.append(str(error).partition(": ")[2])
        else:
            return f"For {depth} layers: model={like} model.depth={depth}"
    return f"Other depths: model=resnet110 model.depth=N; {refusals[0]}"


def register_schemas() -> dict[str, str]:
    """Put the schemas where `conf/` finds them, /schema/..., and make those choices that have no file there.

    Again and again: shortcuts and orders may have been defined since. Returns what is wrong with shortcuts that are no
    choices for it, by their names.
    """
    store = ConfigStore.instance()
    for group in ("shortcut", "activation"):
        store.repo.pop(group, None)  # what is no longer defined is no longer a choice
        store.repo.get("schema", {}).pop(group, None)
    store.store(group="schema", name="config", node=Config)
    faults = registry.faults()
    for name, node in SHORTCUTS.items():
        try:
            if name not in faults:
                _choice("shortcut", name, node)
        except (OmegaConfBaseException, ValueError, TypeError, NameError) as error:  # a field that no setting can be
            if registry.is_ours(node):
                raise
            faults[name] = f"{registry.blame(node)}: {str(error).splitlines()[0]}"
    for name, node in ORDERS.items():
        if name != node.name:
            raise UserError(f"ORDERS[{name!r}]: its order has the name {node.name!r}; the two must be equal")
        if node is not PAPER.get(name, node):
            raise UserError(f"ORDERS[{name!r}] is one of the project's own: give your order another name")
        _choice("activation", name, node)
    for name, node in LOGGERS.items():
        store.store(group="schema/logger", name=name, node=node)
    for name, node in DISTRIBUTED.items():
        store.store(group="schema/distributed", name=name, node=node)
    for group, node in (("model", ModelConfig), ("data", DataConfig), ("recipe", RecipeConfig)):
        store.store(group="schema", name=group, node=node)
    return faults


def _choice(group: str, name: str, node) -> None:
    store = ConfigStore.instance()
    store.store(group=f"schema/{group}", name=name, node=node)
    if not (resources.files("ablations.conf") / group / f"{name}.yaml").is_file():
        store.store(group=group, name=name, node=node)


def parse(composed) -> Config:
    """A composed Hydra configuration -> a checked Config.

    Raises UserError (one message that names the setting) where a value is missing or not legal.
    """
    import copy

    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    from ablations.errors import UserError

    own = copy.deepcopy(composed)
    with open_dict(own):
        own.pop("hydra", None)
    try:
        config = OmegaConf.to_object(own)
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(str(error).split("\n")[0]) from error
    assert isinstance(config, Config)  # by its schema
    return config
