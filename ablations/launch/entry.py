"""One run in its own process: what must be set before JAX is imported, then `train`."""

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.launch.worker import run_here
from ablations.runs.folder import RunFolder
from ablations.training import environment


def sharing(with_first: dict[RunFolder, list[Config]], first: Config) -> list[Config]:
    """The configurations that run in one process with this one, which leads them; by itself where it leads none."""
    return with_first.get(RunFolder.of(first), [first])


def run(configs: list[Config], *, quiet: bool = False, patience_seconds: float = 0.0) -> list[UserError | None]:
    """Train configurations that share a device in this process (`pack`), and leave everything in the folder of each.

    failure.txt is there as long as a run's last try has failed. Of each run what kept it from its end, None where nothing
    did: Busy where another process does it, Interrupted where a signal stopped it, or an error with the system's reason
    where the disk refused.
    patience_seconds: how long to wait where another process has a run.
    """
    environment.prepare(configs[0])
    if configs[0].distributed.name != "none":
        from ablations.launch import hosts

        return [hosts.run(config, quiet=quiet, patience_seconds=patience_seconds) for config in configs]
    environment.check(configs[0])
    return run_here(configs, quiet=quiet, patience_seconds=patience_seconds)
