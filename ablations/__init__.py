"""What shortcuts and activation orders do to very deep residual networks (He et al. 2016).

    import ablations as ab

    config = ab.configure("model=resnet20", shortcut="exclusive_gating", **{"shortcut.bias": -6})
    network = ab.network(config)            # a flax.nnx module, before training
    run = ab.train(config)                  # the folder that the command makes; Ctrl-C stops it, the same call goes on
    runs = ab.records("runs")               # runs.table(), runs.curves(), pandas.DataFrame(runs.flat())
    trained = ab.load(run.folder)           # trained(images): uint8 -> logits

docs/python.md is the reference, docs/tour.ipynb a tour of ten minutes. A name is imported when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ablations.api.analysis import Measurement as Measurement
    from ablations.api.analysis import lesion as lesion
    from ablations.api.analysis import probe as probe
    from ablations.api.configuration import configure as configure
    from ablations.api.display import Figure as Figure
    from ablations.api.display import Table as Table
    from ablations.api.networks import Trained as Trained
    from ablations.api.networks import load as load
    from ablations.api.networks import network as network
    from ablations.api.runs import Run as Run
    from ablations.api.runs import Runs as Runs
    from ablations.api.runs import records as records
    from ablations.api.training import Interrupted as Interrupted
    from ablations.api.training import train as train
    from ablations.config.run import Config as Config
    from ablations.errors import UserError as UserError
    from ablations.networks.activation import ORDERS as activations  # noqa: F401, offered under another name
    from ablations.networks.scaling import SHORTCUTS as shortcuts  # noqa: F401
    from ablations.networks.shortcut import Shortcut as Shortcut

# The name of each in its module, where it has another one there.
_MODULES = {
    "Config": "ablations.config.run",
    "Figure": "ablations.api.display",
    "Interrupted": "ablations.api.training",
    "Measurement": "ablations.api.analysis",
    "Run": "ablations.api.runs",
    "Runs": "ablations.api.runs",
    "Shortcut": "ablations.networks.shortcut",
    "Table": "ablations.api.display",
    "Trained": "ablations.api.networks",
    "UserError": "ablations.errors",
    "activations": "ablations.networks.activation:ORDERS",
    "configure": "ablations.api.configuration",
    "lesion": "ablations.api.analysis",
    "load": "ablations.api.networks",
    "network": "ablations.api.networks",
    "probe": "ablations.api.analysis",
    "records": "ablations.api.runs",
    "shortcuts": "ablations.networks.scaling:SHORTCUTS",
    "train": "ablations.api.training",
}

# Type checkers read the names off the imports above.
__all__ = sorted(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _MODULES[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
