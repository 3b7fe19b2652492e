"""Whether a run is done: its folder has a record, of this very configuration. Who waits for another process asks here, too."""

import os
import time

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.runs.record import UnreadableRecord, first_difference
from ablations.system import interrupt, lock
from ablations.system.files import may

SECONDS_BETWEEN_LOOKS = 0.5
Version = tuple[int, int] | None


def record_of(config: Config) -> dict | None:
    """The record of a run that is done; None if it has to be run.

    Raises UserError if its folder holds a run of another configuration, UnreadableRecord if the record cannot be read.
    """
    return None if config.force else _of_this_configuration(config)


def _of_this_configuration(config: Config) -> dict | None:
    folder = RunFolder.of(config)
    if (record := folder.record()) is None:
        return None
    if not config.matches(record["config"]):
        setting, recorded, requested = first_difference(record["config"], config.resolved())
        raise UserError(
            f"{folder} holds a run of another configuration ({setting}: {recorded} there, {requested} here); "
            "choose another runs_dir=..., or force=true to replace it"
        )
    return record


def not_replaced(error: UnreadableRecord) -> UserError:
    """The refusal to train over a record that cannot be read."""
    replaceable = may(error.path.parent, os.W_OK | os.X_OK)
    remedy = "force=true trains the run again in its place" if replaceable else "choose another runs_dir=..."
    return UserError(f"{error}; it is left as it is: {remedy}")


def version(config: Config) -> Version:
    """What tells the record that is there from one that replaces it; None if there is none."""
    try:
        status = os.stat(RunFolder.of(config).record_file)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def is_done(config: Config, before: Version) -> bool:
    """Whether the run is done by now. before: the `version` when the command began, which force does not count.

    A record of another configuration, or one that cannot be read, is not this run's: who tries to train it is refused.
    """
    if config.force and version(config) == before:
        return False
    try:
        return _of_this_configuration(config) is not None
    except UserError:
        return False


def wait_for_others(config: Config, before: Version) -> bool:
    """Wait until no other process works on the run, or a signal comes. Returns whether it `is_done`."""
    while lock.holder(RunFolder.of(config).path) and interrupt.signal_number() is None:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return is_done(config, before)
