"""The devices that one run is spread over: which they are, where its arrays lie, which part of a batch is whose.

The compiled steps are those of one device: one state, one batch. The state is replicated, a batch is sharded along its
images, and XLA's partitioner adds what the devices must tell each other: the sums of gradients, of BN's moments where
a group of images spans devices, and of the loss. So the global batch is what the recipe says, and the equations of
units and shortcuts know nothing of this.
"""

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ablations.config.recipe import refusal
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training.feed import Batches

AXIS = "batch"


@dataclass(frozen=True)
class AbsentDevice:
    """A device that no plugin of JAX here knows: programs are lowered for its platform, and not compiled.

    platform: "cuda", "rocm" or "tpu".
    """

    platform: str
    process_index: int = 0


@dataclass(frozen=True)
class Devices:
    """The devices of a run, of all its processes. With one, arrays are placed and programs compiled as JAX does it.

    They may be elsewhere, those of `jax.experimental.topologies` or `AbsentDevice`: shapes then stand for arrays.
    """

    chosen: tuple[jax.Device | AbsentDevice, ...]

    @classmethod
    def configured(cls, config: Config) -> "Devices":
        """As a configuration says. Raises UserError where there are not as many."""
        packed = config.packing in ("interleaved", "vmap") and (config.runs_at_a_time or 1) > 1
        if packed and (config.devices or 1) > 1:
            raise UserError(f"devices={config.devices}: runs that are packed share one; choose packing=single")
        return cls.here(1 if packed else config.devices)

    @classmethod
    def here(cls, count: int | None = None) -> "Devices":
        """The first `count` of each process, None for all. Raises UserError where there are fewer."""
        processes = [jax.local_devices(process_index=process) for process in range(jax.process_count())]
        numbers = [len(devices) for devices in processes]
        if count is not None and count > min(numbers):
            available = (
                f"there {'is' if min(numbers) == 1 else 'are'} {min(numbers)} here; choose at most {min(numbers)}"
            )
            raise UserError(f"devices={count}: {available}")
        if count is None and len(set(numbers)) > 1:
            have = ", ".join(map(str, numbers))
            raise UserError(
                f"the processes of this run have {have} devices; take as many of each, as devices={min(numbers)}"
            )
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
        """Of all of them: "cpu", or that of an accelerator."""
        return self.chosen[0].platform

    @cached_property
    def are_here(self) -> bool:
        """Whether arrays can be put on them, and programs called."""
        return set(self.chosen) <= set(jax.devices())

    @property
    def lowering_platforms(self) -> tuple[str] | None:
        """What JAX must be told to lower for, where it does not see it from the devices."""
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
        """Along an axis of an array; None: replicated. Of one device, that device, and None where JAX does not know it."""
        if self.spread:
            return NamedSharding(self._mesh, PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS))
        return None if self._are_absent else SingleDeviceSharding(self.chosen[0])

    def check(self, batch_size: int) -> None:
        """Raise UserError, which names those that do, where a batch does not divide among the devices."""
        if why := refusal(batch_size, self.count):
            raise UserError(why)

    def options(self) -> dict:
        """How every program is compiled: what it returns is replicated."""
        return {"out_shardings": self._sharding()} if self.spread else {}

    def wait_on_cpu(self, outputs):
        """Block until ready on several CPU devices: many programs in flight deadlock there."""
        return jax.block_until_ready(outputs) if self.spread and self.platform == "cpu" else outputs

    def replicate(self, tree):
        """Arrays that every process has, replicated onto every device; their shapes where the devices are elsewhere."""
        if not self.are_here:
            return self.abstract(tree)
        return jax.jit(lambda tree: tree, **self.options())(tree) if self.spread else jax.device_put(tree)

    def split(self, whole: np.ndarray, axis: int = 0) -> jax.Array:
        """An array that every process has, sharded along an axis."""
        if not self.spread:
            return jax.numpy.asarray(whole)
        index, count = self.shard
        return self.join(np.split(whole, count, axis)[index], axis)

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of a batch, and of the test set, this process feeds: (index, count)."""
        return (jax.process_index(), jax.process_count()) if self.processes > 1 else (0, 1)

    def join(self, part: np.ndarray, axis: int = 0) -> jax.Array:
        """A batch sharded along an axis, of which every process has its part, `shard`."""
        if not self.spread:
            return jax.numpy.asarray(part)
        return jax.make_array_from_process_local_data(self._sharding(axis), part)

    def feed(self, batches: Batches, axis: int = 1) -> Batches:
        """Batches, sharded along an axis: every process has all indices, and its part of images that are read."""
        if isinstance(batches, dict):
            return {name: self.join(part, axis) for name, part in batches.items()}
        return self.split(batches, axis)

    def along_images(self, x: jax.Array) -> jax.Array:
        """Inside a program: each image on one device."""
        return jax.lax.with_sharding_constraint(x, self._sharding(0)) if self.spread else x

    def abstract(self, tree, axis: int | None = None):
        """Shapes and dtypes, with the sharding that `replicate`, or `split` along an axis, gives arrays."""
        if self.are_here and not self.spread:
            return tree
        sharding = self._sharding(axis)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    @cached_property
    def local(self) -> "Devices":
        """This process's."""
        return Devices(tuple(device for device in self.chosen if device.process_index == jax.process_index()))

    def local_copies(self, tree):
        """This process's copies of replicated arrays: to compute without the other processes."""
        if self.processes == 1:
            return tree
        if not self.local.spread:
            return self.first_copy(tree)

        def copies(x):
            shards = [shard.data for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape, self.local._sharding(), shards)

        return jax.tree.map(copies, tree)

    def first_copy(self, tree):
        """The copy of replicated arrays on this process's first device."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree) if self.spread else tree
