"""The devices that one run is spread over: which they are, where its arrays lie, how batches are divided.

The compiled steps are written as for one device: one state, one batch. The state is replicated, a batch is sharded
along its images, and XLA's partitioner adds the sums over devices: of gradients, of the loss, and of BN's moments if a
group of images spans devices. So the global batch is what the recipe says, and the equations of units and shortcuts
know nothing of this.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ablations.config.recipe import refusal
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training import environment, spread
from ablations.training.feed import Batches

AXIS = "batch"
Placed = jax.Array | dict[str, jax.Array]  # `Batches` on the devices


class Device(Protocol):
    """A device of JAX, whose own class is not declared as a type, or an `AbsentDevice`."""

    @property
    def platform(self) -> str: ...

    @property
    def process_index(self) -> int: ...


@dataclass(frozen=True)
class AbsentDevice:
    """A device that no plugin of JAX on this machine knows: programs are lowered for its platform, but not compiled.

    platform: "cuda", "rocm" or "tpu".
    """

    platform: str
    process_index: int = 0


@dataclass(frozen=True)
class Devices:
    """The devices of a run, over all its processes. With a single device, JAX places arrays and compiles as by default.

    The devices may be absent from this machine (`jax.experimental.topologies`, `AbsentDevice`): shapes then stand for
    arrays.
    """

    chosen: tuple[Device, ...]

    @classmethod
    def configured(cls, config: Config) -> "Devices":
        """The devices that a configuration asks for. Raises UserError if there are fewer."""
        packed = config.packing in ("interleaved", "vmap") and (config.runs_at_a_time or 1) > 1
        if packed and (config.devices or 1) > 1:
            raise UserError(f"devices={config.devices}: packed runs share one device; choose packing=single")
        return cls.here(1 if packed else spread.over(config))

    @classmethod
    def here(cls, count: int | None = None) -> "Devices":
        """The first `count` devices of each process, or all for None. Raises UserError if a process has fewer."""
        environment.start()
        processes = [jax.local_devices(process_index=process) for process in range(jax.process_count())]
        numbers = [len(devices) for devices in processes]
        if count is not None and count > min(numbers):
            raise UserError(f"devices={count}: choose at most {min(numbers)}, the number that is here")
        if count is None and len(set(numbers)) > 1:
            listed, same = ", ".join(map(str, numbers)), f"choose the same number for each: devices={min(numbers)}"
            raise UserError(f"the processes of this run have {listed} devices; {same}")
        return cls(tuple(device for devices in processes for device in devices[:count]))

    @property
    def count(self) -> int:
        return len(self.chosen)

    @property
    def processes(self) -> int:
        return len({device.process_index for device in self.chosen})

    @property
    def spread(self) -> bool:
        return self.count > 1

    @property
    def platform(self) -> str:
        """The platform of all devices: "cpu", or that of an accelerator."""
        return self.chosen[0].platform

    @cached_property
    def are_here(self) -> bool:
        """Whether this machine has the devices, so that arrays can be put on them and programs called."""
        return set(self.chosen) <= set(jax.devices())

    @property
    def lowering_platforms(self) -> tuple[str] | None:
        """The platforms that JAX must be told to lower for; None if it sees them from the devices."""
        return (self.platform,) if self._are_absent else None

    @property
    def _are_absent(self) -> bool:
        return isinstance(self.chosen[0], AbsentDevice)

    @cached_property
    def _mesh(self) -> Mesh | AbstractMesh:
        auto = (AxisType.Auto,)  # XLA spreads what follows; an AbstractMesh is Explicit in newer versions of JAX
        if self._are_absent:
            return AbstractMesh((self.count,), (AXIS,), auto)
        return Mesh(np.array(self.chosen), (AXIS,), auto)

    def _sharding(self, axis: int | None = None) -> Sharding | None:
        """The sharding along an axis of an array, replicated for None. None for one device that JAX does not know."""
        if self.spread:
            return NamedSharding(self._mesh, PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS))
        return None if self._are_absent else SingleDeviceSharding(self.chosen[0])

    def check(self, batch_size: int) -> None:
        """Raise UserError, with numbers of devices that would do, if a batch does not divide among these."""
        if why := refusal(batch_size, self.count):
            raise UserError(why)

    def options(self) -> dict:
        """The options of `jax.jit` for every program: what it returns is replicated."""
        return {"out_shardings": self._sharding()} if self.spread else {}

    def wait_on_cpu(self, outputs):
        """Block until ready on several CPU devices: many programs in flight deadlock there."""
        return jax.block_until_ready(outputs) if self.spread and self.platform == "cpu" else outputs

    def replicate(self, tree):
        """Replicate arrays that every process has onto every device; only their shapes if the devices are not here."""
        if not self.are_here:
            return self.abstract(tree)
        return jax.jit(lambda tree: tree, **self.options())(tree) if self.spread else jax.device_put(tree)

    def split(self, whole: np.ndarray, axis: int = 0) -> jax.Array:
        """Shard an array that every process has along an axis."""
        if not self.spread:
            return jax.numpy.asarray(whole)
        index, count = self.shard
        return self.join(np.split(whole, count, axis)[index], axis)

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of a batch, and of the test set, this process feeds: (index, count)."""
        return (jax.process_index(), jax.process_count()) if self.processes > 1 else (0, 1)

    def join(self, part: np.ndarray, axis: int = 0) -> jax.Array:
        """The batch sharded along an axis, made from the parts of all processes; see `shard`."""
        if not self.spread:
            return jax.numpy.asarray(part)
        return jax.make_array_from_process_local_data(self._sharding(axis), part)

    def feed(self, batches: Batches, axis: int = 1) -> Placed:
        """Shard batches along an axis: every process has all indices, but only its part of images read from files."""
        if isinstance(batches, dict):
            return {name: self.join(part, axis) for name, part in batches.items()}
        return self.split(batches, axis)

    def along_images(self, x: jax.Array) -> jax.Array:
        """Inside a program: put each image on one device."""
        return jax.lax.with_sharding_constraint(x, self._sharding(0)) if self.spread else x

    def abstract(self, tree, axis: int | None = None):
        """Shapes and dtypes, with the sharding that arrays get from `replicate` or, along an axis, from `split`."""
        if self.are_here and not self.spread:
            return tree
        sharding = self._sharding(axis)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    @cached_property
    def local(self) -> "Devices":
        """The devices of this process."""
        return Devices(tuple(device for device in self.chosen if device.process_index == jax.process_index()))

    def local_copies(self, tree):
        """This process's copies of replicated arrays, to compute without the other processes."""
        if self.processes == 1:
            return tree
        if not self.local.spread:
            return self.first_copy(tree)
        replicated = NamedSharding(self.local._mesh, PartitionSpec())

        def copies(x):
            shards = [shard.data for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape, replicated, shards)

        return jax.tree.map(copies, tree)

    def first_copy(self, tree):
        """The copy of replicated arrays on this process's first device."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree) if self.spread else tree
