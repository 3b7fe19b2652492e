"""Which of a user's own configuration files a mistake stands in, and in which line."""

from collections.abc import Mapping
from importlib.resources.abc import Traversable

import yaml

from ablations.config import searchpath


def with_setting(key: str, choices: Mapping) -> Traversable | str:
    """The file of those that are composed in which this setting stands, without a dot; a phrase if it is not found.

    choices: of each group the file that is chosen.
    """
    names = [searchpath.primary(), *(f"{group}/{choice}" for group, choice in choices.items())]
    for file in filter(None, map(searchpath.file_of, names)):
        content = yaml.safe_load(file.read_bytes())
        if isinstance(content, dict) and key in content:
            return file
    return "a configuration file"
