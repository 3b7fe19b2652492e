"""One run in its own process: what must be set before JAX is imported, then `train`."""

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch.worker import run_here
from ablations.runs.folder import RunFolder
from ablations.training import environment


def group_of(groups: dict[RunFolder, list[Config]], first: Config) -> list[Config]:
    """The configurations that share a process, given the first of them; only that one if it belongs to no group."""
    return groups.get(RunFolder.of(first), [first])


def run(configs: list[Config], *, quiet: bool = False, patience_seconds: float = 0.0) -> list[UserError | None]:
    """Train configurations that share a device in this process (`training.driver`); results go to each run's folder.

    A run whose last try has failed has a failure.txt.
    Returns for each run the reason why it is not finished, None if it is: Busy if another process works on it,
    Interrupted if a signal stopped it, an error with the system's reason if its folder could not be written.
    patience_seconds: how long to wait for a run that another process works on.
    """
    environment.prepare(configs[0])
    if configs[0].distributed.name != "none":
        from ablations.launch import hosts

        return [hosts.run(config, quiet=quiet, patience_seconds=patience_seconds) for config in configs]
    environment.check(configs[0])
    return run_here(configs, quiet=quiet, patience_seconds=patience_seconds)
