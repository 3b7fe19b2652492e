"""The same bits after a restart: what deterministic=true asks of XLA's compiler for a GPU, and where it is refused.

A CPU gives the same bits for the same number of threads, and a TPU is said to: neither chooses kernels by a stopwatch
or adds in the order in which threads come. A GPU does both unless it is told not to. The options below belong to each
program that is compiled, so it does not matter whether XLA has started already.
"""

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training.devices import Devices

GPU = ("gpu", "cuda")  # what JAX calls a device of NVIDIA's, and what it lowers for
ALWAYS = ("cpu", "tpu")

# XLA, docs/determinism.md and xla/debug_options_flags.cc.
OPTIONS: dict[str, str | bool] = {
    "xla_gpu_deterministic_ops": True,  # only kernels, of XLA, cuDNN and cuBLAS, that add in a fixed order
    # The fastest of several kernels in one measurement need not be the fastest in the next, so nothing is measured.
    "xla_gpu_autotune_level": "0",
}


def compiler_options(deterministic: bool, platform: str) -> dict[str, str | bool]:
    """The options with which a program is compiled for a platform."""
    return dict(OPTIONS) if deterministic and platform in GPU else {}


def check(config: Config, devices: Devices) -> None:
    """Raise UserError if deterministic=true cannot be kept on these devices."""
    if not config.deterministic or devices.platform in ALWAYS:
        return
    if (maker := _maker(devices)) not in GPU:
        raise UserError(
            f"deterministic=true: the compiler for {maker} is not known to keep it, only those for CPUs, TPUs and "
            "NVIDIA's GPUs; leave it out"
        )
    if devices.processes > 1:
        raise UserError(
            f"deterministic=true: the {devices.processes} processes of this run may meet in another order or on other "
            "hosts after a restart, and NCCL then adds in another order; use one process and one GPU, or leave it out"
        )
    if devices.spread:
        raise UserError(
            f"deterministic=true: NCCL chooses the order in which {devices.count} GPUs add, and may choose another after "
            "a restart; choose devices=1, or leave it out"
        )


def _maker(devices: Devices) -> str:
    """The platform, but "rocm" for AMD's GPUs, which JAX calls "gpu" as it does NVIDIA's."""
    version = getattr(getattr(devices.chosen[0], "client", None), "platform_version", "")
    return "rocm" if "rocm" in version.lower() else devices.platform
