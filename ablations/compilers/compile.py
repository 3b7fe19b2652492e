"""Compiling a training step for a target that need not be here.

XLA reads how it is to behave when it starts, so this happens in a process of its own with `target.ENVIRONMENT`.
"""

import jax
from jax.experimental import topologies

from ablations.compilers import hlo
from ablations.compilers.program import Compiled, Program
from ablations.compilers.target import Target
from ablations.config.run import Config
from ablations.data.dataset import Dataset
from ablations.errors import UserError
from ablations.training.devices import AbsentDevice, Devices
from ablations.training.programs import needed_bytes
from ablations.training.steps import Steps


def absent(target: Target, count: int) -> Devices:
    """So many devices of a target, to lower for; no compiler is needed."""
    return Devices((AbsentDevice(target.platform),) * count)


def devices(target: Target, count: int) -> Devices:
    """The first `count` devices of a target, as its compiler describes them. Raises UserError if it does not."""
    options: dict = {"platform": target.platform, "topology_name": target.name}
    if target.platform == "cuda":
        options |= {"target_config": target.device_info, "topology": f"1x1x{count}"}  # a host with so many GPUs
    elif target.devices == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    try:
        topology = topologies.get_topology_desc(**options)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        asked = " ".join(f"{key}={value}" for key, value in target.asked.items())
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{asked}: the compiler that is installed does not know this: {reason}") from error
    return Devices(tuple(topology.devices[:count]))


def training_step(config: Config, dataset: Dataset, target: Target) -> Compiled:
    """Compile the training step of a configuration. Only the shapes of the data set count, and its size.

    Raises UserError if the compiler refuses it, as XLA:TPU does a program that needs more memory than there is.
    """
    where = devices(target, target.spread(config.devices))
    steps = Steps(config, dataset, where)
    lowered = steps.programs.lower(steps.trace_train(steps.call_length))
    try:
        compiled = steps.programs.compile(lowered)
    except jax.errors.JaxRuntimeError as error:
        raise UserError(str(error).strip().partition("\n")[0]) from error
    text, memory = compiled.as_text() or "", compiled.memory_analysis()
    _, needed = needed_bytes(compiled)
    assert memory is not None and needed is not None, "both platforms have it"
    figures = Program(
        steps.call_length,
        memory.temp_size_in_bytes,
        memory.peak_memory_in_bytes,
        memory.argument_size_in_bytes,
        needed,
        tuple(hlo.read(text).kernels(steps.call_length)),
    )
    return Compiled(figures, lowered.as_text(), text)
