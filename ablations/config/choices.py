"""Which choices of a group have a setting, so that a message can name them."""

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig


def having(group: str, setting: str, choices: list[str]) -> list[str]:
    """Those of the group's choices whose schema has the setting; of networks one of each family that has it.

    choices: all of the group.
    """
    schemas = ConfigStore.instance().repo.get("schema", {}).get(group, {})
    names = [
        name.removesuffix(".yaml")
        for name, stored in schemas.items()
        if isinstance(stored.node, DictConfig) and setting in stored.node.keys()  # noqa: SIM118, "in" leaves out what has no default
    ]
    begin = {name: [choice for choice in choices if choice.startswith(name)] for name in names}
    return sorted(name if name in found else min(found, key=len) for name, found in begin.items() if found)
