"""For which platform, and for how many devices, a program is being traced: they decide which form of a kernel is fast.

The platform is that of the devices that the program is for, which need not be here. `training.programs` sets it for
every program of a run; a network that is called outside of one is traced for JAX's default device.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)
_devices = contextvars.ContextVar("devices", default=1)


@contextlib.contextmanager
def placed(platform: str, devices: int) -> Iterator[None]:
    """Trace for a platform, "cpu" or an accelerator's, and for images spread over a number of devices."""
    tokens = _platform.set(platform), _devices.set(devices)
    try:
        yield
    finally:
        _platform.reset(tokens[0])
        _devices.reset(tokens[1])


def platform() -> str:
    """The platform that is traced for."""
    return _platform.get() or jax.default_backend()


def on_gpu() -> bool:
    """Whether the platform is NVIDIA's or AMD's: JAX calls both "gpu", or by their own names."""
    return platform() in ("gpu", "cuda", "rocm")


def on_tpu() -> bool:
    return platform() == "tpu"


def devices() -> int:
    """The number of devices that images are spread over."""
    return _devices.get()
