"""What `probe`, `lesion` and `landscape` look at: a finished run, one on its way, or a network before training."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ablations.config.run import Config, from_resolved
from ablations.errors import UserError
from ablations.runs.record import finished, read_record


@dataclass(frozen=True)
class Subject:
    """A network to look at, before anything of it is computed.

    folder: of its run, None before training. weights: the SHA-256 of the run's weights file, None where it
        is not there. record: of a finished run. row: what it is called in its study.
    """

    name: str
    config: Config
    folder: Path | None = None
    record: dict | None = None
    weights: str | None = None
    row: str | None = None

    def load(self):
        """Its compiled steps, and its state with the step it was taken at; the first import of JAX."""
        from ablations.training.environment import prepare

        prepare(self.config)
        from ablations.data import catalogue
        from ablations.training import weights
        from ablations.training.steps import Steps

        steps = Steps(self.config, catalogue.load(self.config.data))
        state = steps.init()
        if self.folder is None:
            return steps, state, 0
        if self.record:
            state, normalization = weights.load(self.folder / "weights.safetensors", state)
            steps.data |= normalization
            return steps, state, self.record["steps"]
        from ablations.training.checkpoint import Checkpoints

        restored = Checkpoints(self.folder).restore(state, self.config.resolved(), print)
        if restored is None:
            raise UserError(f"run={self.folder}: none of its checkpoints can be used")
        return steps, restored[0], restored[1]["step"]


def of_run(folder: Path, *, trained: bool = False) -> Subject:
    """The run in a folder; trained: refuse one that is not finished.

    Raises UserError where there is nothing to look at.
    """
    record = read_record(folder)
    if record is None and not trained and (folder / "checkpoints").is_dir():
        from ablations.training.checkpoint import Checkpoints

        if config := Checkpoints(folder).config():
            return Subject(str(folder), from_resolved(config), folder)
    record, path = finished(folder)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Subject(str(folder), from_resolved(record["config"]), folder, record, digest)


def before_training(overrides: list[str]) -> Subject:
    """The network that these settings make, with the weights that it starts from."""
    from ablations.config.compose import compose, hydra, parse

    with hydra() as context:
        return Subject(" ".join(overrides) or "the default network", parse(compose(context, overrides)))
