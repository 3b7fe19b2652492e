"""Over how many devices it is worth spreading a run.

An accelerator with few small images is not faster for it: a step has as many kernels as with the whole batch, a TPU
leaves some of its 128 lanes empty, and sums over devices are added (benchmarks/NOTES.md).
"""

import jax

from ablations.config.run import Config
from ablations.data import catalogue
from ablations.training import environment

SMALL_IMAGE, FEWEST_IMAGES = 64, 128  # pixels across, and images on each device


def over(config: Config) -> int | None:
    """The number of devices of each process that a run uses; None for all.

    If the configuration leaves it open, these are all accelerators that make the run faster.
    Raises UserError if JAX cannot use this machine's.
    """
    environment.start()
    if config.devices or config.distributed.name != "none" or jax.default_backend() == "cpu":
        return config.devices
    return worthwhile(config, jax.local_device_count())


def worthwhile(config: Config, available: int) -> int:
    """How many of the available accelerators make a run faster: all of them, unless their parts of a batch are small."""
    if catalogue.kind(config.data).image[0] > SMALL_IMAGE:
        return available
    batch = config.recipe.batch_size
    return max(n for n in range(1, available + 1) if n == 1 or (batch % n == 0 and batch // n >= FEWEST_IMAGES))


def advice(config: Config, platform: str, used: int, available: int) -> str:
    """What a user should know whose run uses so many of the available devices; "" if there is nothing to say."""
    best = worthwhile(config, available)
    if platform == "cpu" or config.distributed.name != "none" or best == available:
        return ""
    spread = used if config.devices else available
    why = f"with {config.recipe.batch_size // spread} images on each of {spread} devices a step is hardly faster"
    if config.devices is None:
        return f"devices={used}: {why}; the others are free for other runs. devices={spread} uses them"
    return f"devices={spread}: {why}; devices={best} leaves the others to other runs" if spread > best else ""
