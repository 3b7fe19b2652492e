"""The families of networks: all classes of settings defined in this process, the project's own and the user's.

A family is one class: its fields are settings, and `architecture` says what network they make. One of your own is one
more class, in a file of your own:

    from dataclasses import dataclass

    from ablations.networks.architecture import Architecture, Layer, Stage, Unit
    from ablations.networks.family import ModelConfig


    @dataclass
    class Pairs(ModelConfig):
        family: str = "pairs"
        pairs: int = 9

        def architecture(self):
            return Architecture(Layer(16), (Stage((Unit((Layer(16), Layer(16))),) * self.pairs),))

and is trained by `ablations train model=pairs --import mine.py`. See docs/families.md. Defining a class registers it, as
for shortcuts. This module imports no JAX.
"""

from abc import abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar

from ablations.networks import registry
from ablations.networks.architecture import Architecture

FAMILIES: "dict[str, type[ModelConfig]]" = registry.FAMILIES  # by name, as in a record's model.family


@dataclass
class ModelConfig(metaclass=registry.FamilyClass):
    """The settings of a network of any family; abstract.

    name: of its file in `conf/model/`, or of a user's family. family: the class that its other settings belong to.
    own_order, own_shortcut: what model=NAME chooses for a user's family, unless the command does; the project's families
    say so in their files.
    """

    name: str
    own_order: ClassVar[str | None] = None
    own_shortcut: ClassVar[str | None] = None

    @abstractmethod
    def architecture(self) -> Architecture:
        """The network as data. Raises ValueError, which names the setting, if a setting makes no network."""
        raise NotImplementedError

    def __post_init__(self):
        with registry.blamed_on(type(self)):
            made = self.architecture()
            if not isinstance(made, Architecture):
                raise TypeError(f"architecture() returns {type(made).__name__}, not an Architecture")

    @property
    def label(self) -> str:
        """The network's name, with whatever else tells it from others of this name."""
        return self.name

    @property
    def units(self) -> tuple[int, ...]:
        """The number of units of each stack."""
        return tuple(len(stack.units) for stack in self.architecture().stacks)

    @property
    def task(self) -> str:
        """ "segmentation" if it classifies every pixel, else "classification"."""
        return "segmentation" if self.architecture().head.pixels else "classification"

    def refusal(self, side: int) -> str | None:
        """Why square images of this side do not fit; None if they do."""
        architecture = self.architecture()
        if architecture.smallest_map(side) > 0:
            return None
        fits = architecture.smallest_image()
        return (
            f"{self.name} has a layer that sees nothing of images of {side} pixels; "
            f"{f'it needs at least {fits}' if fits else 'no size fits'}"
        )


def legal(settings: ModelConfig, **choices: tuple) -> None:
    """Raise ValueError if one of these settings is not among its legal values."""
    for field, values in choices.items():
        if (value := getattr(settings, field)) not in values:
            raise ValueError(f"model.{field}={value}: legal are {', '.join(map(str, values))}")


def at_least(settings: ModelConfig, bound: int, *names: str) -> None:
    """Raise ValueError if one of these settings is too small."""
    for name in names:
        if (value := getattr(settings, name)) < bound:
            raise ValueError(f"model.{name}={value}: must be at least {bound}")


def above_0(settings: ModelConfig, *names: str) -> None:
    """Raise ValueError if one of these settings is not a positive finite number."""
    for name in names:
        if not 0 < (value := getattr(settings, name)) < float("inf"):
            raise ValueError(f"model.{name}={value}: must be a finite number above 0")


def rate(settings: ModelConfig, name: str = "dropout") -> None:
    """Raise ValueError if this setting is no rate of dropout."""
    if not 0 <= (value := getattr(settings, name)) < 1:
        raise ValueError(f"model.{name}={value}: must be at least 0 and below 1")


def unread(settings: ModelConfig, reader: str, *names: str) -> None:
    """Raise ValueError if one of these settings, which the network does not read, is not at its default.

    Else two runs that are called different would be of one network. reader: the choice that would read them.
    """
    defaults = {each.name: each for each in fields(settings)}
    for name in names:
        default, value = defaults[name], getattr(settings, name)
        if value != (default.default_factory() if default.default is MISSING else default.default):  # pyright: ignore
            raise ValueError(f"model.{name}={value}: has no effect here; it is for {reader}")
