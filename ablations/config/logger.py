"""Where evaluations go besides a run's folder: Weights & Biases, TensorBoard; the schema of `conf/logger/`.

The files in the folder stay the source of truth; `loggers/mirror.py` copies them. This module imports neither library.
"""

import os
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from ablations.errors import UserError

MODES = ("online", "offline", "disabled")
ENVIRONMENT = ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY")  # which have defaults of settings below


@dataclass
class Logger:
    """The run's folder only. None of these settings decides a result, so none is part of a run's name or record."""

    name: str = "none"

    def __post_init__(self):
        key = type(self).__dataclass_fields__["name"].default
        if self.name != key:
            raise ValueError(f"logger.name={self.name}: choose a logger with logger={self.name}")


@dataclass
class Tensorboard(Logger):
    """Event files in the run's folder."""

    name: str = "tensorboard"

    def where(self, folder: Path) -> str:
        """How to see the runs of the study in this folder."""
        return f"to see them: tensorboard --logdir {folder}"


@dataclass
class Wandb(Logger):
    """One run of Weights & Biases for each of ours.

    mode: online; offline: kept in the run's folder, for `wandb sync`; disabled: no logger.
    entity: the user or team; None: the login's default.
    """

    name: str = "wandb"
    mode: str = field(default_factory=lambda: os.environ.get("WANDB_MODE") or "online")
    project: str = field(default_factory=lambda: os.environ.get("WANDB_PROJECT") or "ablations")
    entity: str | None = field(default_factory=lambda: os.environ.get("WANDB_ENTITY") or None)

    def __post_init__(self):
        super().__post_init__()
        if self.mode not in MODES:
            raise ValueError(f"logger.mode={self.mode}: legal are {', '.join(MODES)}")

    def where(self, folder: Path) -> str:
        """How to see the runs of the study in this folder."""
        if self.mode == "online":
            return f"at Weights & Biases: project {self.project}"
        return f"for Weights & Biases, when they are done: wandb sync {folder}/*/seed=*/wandb/offline-run-*"


LOGGERS = {"none": Logger, "tensorboard": Tensorboard, "wandb": Wandb}
Chosen = TypeVar("Chosen", bound=Logger)
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


def check(logger: Logger) -> None:
    """Raise UserError, before anything is trained, if the library is not installed."""
    if is_on(logger) and find_spec(PACKAGES[logger.name]) is None:
        package = PACKAGES[logger.name]
        raise UserError(
            f"logger={logger.name}: {package} is not installed; pip install {package}, or choose logger=none"
        )


def take(settings: dict[str, str]) -> Logger:
    """Remove the logger's settings, such as logger=wandb and logger.mode=offline, from `settings`; returns the logger.

    Raises UserError if they are not legal or the library is not installed.
    """
    name = settings.pop("logger", "none")
    own = {key: settings.pop(key) for key in list(settings) if key.startswith("logger.")}
    if name not in LOGGERS:
        raise UserError(f"logger={name}: unknown; legal are {', '.join(LOGGERS)}")
    return make(LOGGERS[name], own)


def make(kind: type[Chosen], own: dict[str, str]) -> Chosen:
    """A logger with settings such as logger.mode=offline; raises UserError as `take` does."""
    legal = [f"logger.{setting.name}" for setting in fields(kind)]
    if wrong := [key for key in own if key not in legal]:
        having = [
            name for name, other in LOGGERS.items() if wrong[0].removeprefix("logger.") in other.__dataclass_fields__
        ]
        with_ = f" with logger={kind.name}, but with logger={having[0]}" if having else ""
        raise UserError(f"{wrong[0]}: there is no such setting{with_}; legal are {', '.join(legal)}")
    try:
        logger = kind(**{key.removeprefix("logger."): value for key, value in own.items()})
    except ValueError as error:
        raise UserError(str(error)) from error
    check(logger)
    return logger


def is_on(logger: Logger) -> bool:
    """Whether it logs anything."""
    return logger.name != "none" and getattr(logger, "mode", None) != "disabled"
