"""What `probe`, `lesion` and `landscape` look at: a finished run, an unfinished one, or a network before training."""

import hashlib
from dataclasses import dataclass

from ablations.config.run import Config, from_resolved
from ablations.runs.folder import RunFolder
from ablations.training import restore


@dataclass(frozen=True)
class Subject:
    """A network to look at; nothing is computed or restored yet.

    folder: that of its run, None before training. weights: the SHA-256 of the run's weights file, None if there
        is none. record: that of a finished run. row: its name in its study.
    """

    name: str
    config: Config
    folder: RunFolder | None = None
    record: dict | None = None
    weights: str | None = None
    row: str | None = None

    def load(self) -> restore.Restored:
        """The network's compiled steps, its state, and the step after which it was saved. Imports JAX."""
        return restore.run(self.folder) if self.folder else restore.untrained(self.config)


def of_run(folder: RunFolder, *, trained: bool = False) -> Subject:
    """The run in a folder. trained: refuse a run that is not finished.

    Raises UserError if there is nothing to look at, and UnreadableRecord if its record cannot be read.
    """
    if not trained and folder.record() is None and (config := restore.checkpointed(folder)):
        return Subject(str(folder), config, folder)
    record, path = folder.finished()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Subject(str(folder), from_resolved(record["config"]), folder, record, digest)


def before_training(overrides: list[str]) -> Subject:
    """The network that these settings make, with its initial weights."""
    from ablations.config.compose import compose, hydra, parse
    from ablations.config.overrides import check_single

    with hydra() as context:
        check_single(context, overrides)
        return Subject(" ".join(overrides) or "the default network", parse(compose(context, overrides)))
