"""The families of networks: all classes of settings defined in this process, the project's own and the user's.

A family is one class: its fields are settings, and `architecture` says what network they make. An eleventh is one more
class, in `families/` or in a file of your own. Defining a class registers it. This module imports no JAX.
"""

from abc import abstractmethod
from dataclasses import dataclass

from ablations.networks.architecture import Architecture

FAMILIES: "dict[str, type[ModelConfig]]" = {}  # by name, as in a record's model.family


class FamilyClass(type):
    """The type of families: defining a class that has a default for `family` registers it."""

    def __init__(cls, name: str, bases: tuple, namespace: dict, **options):
        super().__init__(name, bases, namespace, **options)
        if family := getattr(vars(cls).get("family"), "default", vars(cls).get("family")):
            FAMILIES[family] = cls  # pyright: ignore[reportArgumentType]  # ModelConfig is the only base


@dataclass
class ModelConfig(metaclass=FamilyClass):
    """The settings of a network of any family; abstract.

    name: of its file in `conf/model/`. family: the class that its other settings belong to.
    """

    name: str

    @abstractmethod
    def architecture(self) -> Architecture:
        """The network as data. Raises ValueError, which names the setting, if a setting makes no network."""
        raise NotImplementedError

    def __post_init__(self):
        self.architecture()

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
        if self.architecture().smallest_map(side) > 0:
            return None
        return f"{self.name} has a layer that sees nothing of images of {side} pixels; choose larger ones"


def legal(settings: ModelConfig, **choices: tuple) -> None:
    """Raise ValueError if one of these settings is not among its legal values."""
    for field, values in choices.items():
        if (value := getattr(settings, field)) not in values:
            raise ValueError(f"model.{field}={value}: legal are {', '.join(map(str, values))}")
