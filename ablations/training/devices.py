"""The devices that one run is spread over: which they are, where its arrays lie, which part of a batch is whose.

The compiled steps are those of one device: one state, one batch. The state lies on every device whole, a batch is
split along its images, and XLA's partitioner adds what the devices must tell each other: the sums of gradients, of
BN's moments where a group of images spans devices, and of the loss. So the global batch is what the recipe says, and
the equations of units and shortcuts know nothing of this.
"""

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ablations.config.recipe import refusal
from ablations.config.run import Config
from ablations.errors import UserError
from ablations.training.feed import Batches

AXIS = "batch"


@dataclass(frozen=True)
class Devices:
    """The devices of a run, of all its processes. With one, arrays are placed and programs compiled as JAX does it."""

    chosen: tuple[jax.Device, ...]

    @classmethod
    def of(cls, config: Config) -> "Devices":
        """As a configuration says. Raises UserError where there are not as many."""
        packed = config.packing in ("interleaved", "vmap") and (config.runs_at_a_time or 1) > 1
        if packed and (config.devices or 1) > 1:
            raise UserError(f"devices={config.devices}: runs that are packed share one; choose packing=single")
        return cls.here(1 if packed else config.devices)

    @classmethod
    def here(cls, count: int | None = None) -> "Devices":
        """The first so many of each process, None for all. Raises UserError where there are fewer."""
        of_processes = [jax.local_devices(process_index=process) for process in range(jax.process_count())]
        numbers = [len(of) for of in of_processes]
        if count is not None and count > min(numbers):
            there = f"there {'is' if min(numbers) == 1 else 'are'} {min(numbers)} here; choose at most {min(numbers)}"
            raise UserError(f"devices={count}: {there}")
        if count is None and len(set(numbers)) > 1:
            raise UserError(
                f"the processes of this run have {', '.join(map(str, numbers))} devices; take as many of each, "
                f"as devices={min(numbers)}"
            )
        return cls(tuple(device for of in of_processes for device in of[:count]))

    @property
    def count(self) -> int:
        return len(self.chosen)

    @property
    def processes(self) -> int:
        return len({device.process_index for device in self.chosen})

    @property
    def spread(self) -> bool:
        return self.count > 1

    @cached_property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.chosen), (AXIS,))

    def _along(self, axis: int | None = None) -> NamedSharding:
        """Split along an axis of an array; None: on every device whole."""
        return NamedSharding(self._mesh, PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS))

    def check(self, batch_size: int) -> None:
        """Raise UserError, which names those that do, where a batch does not divide among the devices."""
        if why := refusal(batch_size, self.count):
            raise UserError(why)

    def options(self) -> dict:
        """How every program is compiled: what it returns lies on every device whole."""
        return {"out_shardings": self._along()} if self.spread else {}

    def settled(self, outputs):
        """On a CPU's devices, outputs once they are there: many unfinished programs that wait for each other hang."""
        if self.spread and self.chosen[0].platform == "cpu":
            return jax.block_until_ready(outputs)
        return outputs

    def copy(self, tree):
        """Arrays that every process has, on every device whole."""
        if not self.spread:
            return jax.device_put(tree)
        return jax.jit(lambda tree: tree, out_shardings=self._along())(tree)

    def split(self, whole: np.ndarray, axis: int = 0) -> jax.Array:
        """An array that every process has, of which each device gets its part along an axis."""
        if not self.spread:
            return jax.numpy.asarray(whole)
        index, count = self.shard
        return self.join(np.split(whole, count, axis)[index], axis)

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of a batch, and of the test set, this process feeds: (index, count)."""
        return (jax.process_index(), jax.process_count()) if self.processes > 1 else (0, 1)

    def join(self, mine: np.ndarray, axis: int = 0) -> jax.Array:
        """A batch of which every process has its part, `shard`, along an axis."""
        if not self.spread:
            return jax.numpy.asarray(mine)
        return jax.make_array_from_process_local_data(self._along(axis), mine)

    def fed(self, batches: Batches, axis: int = 1) -> Batches:
        """Batches, along an axis, where programs take them: all processes know all numbers of images, and read a part."""
        if isinstance(batches, dict):
            return {name: self.join(part, axis) for name, part in batches.items()}
        return self.split(batches, axis)

    def along_images(self, x: jax.Array) -> jax.Array:
        """Inside a program: each image on one device."""
        return jax.lax.with_sharding_constraint(x, self._along(0)) if self.spread else x

    def abstract(self, tree, axis: int | None = None):
        """Shapes and dtypes, in the places that `copy`, or `split` along an axis, gives arrays."""
        if not self.spread:
            return tree
        place = self._along(axis)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)

    @cached_property
    def home(self) -> "Devices":
        """Those of this process."""
        return Devices(tuple(device for device in self.chosen if device.process_index == jax.process_index()))

    def at_home(self, tree):
        """Of arrays that lie on every device whole, those on this process's: to compute without the other processes."""
        if self.processes == 1:
            return tree
        if not self.home.spread:
            return self.one(tree)

        def mine(x):
            copies = [shard.data for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape, self.home._along(), copies)

        return jax.tree.map(mine, tree)

    def one(self, tree):
        """Of arrays that lie on every device whole, those on this process's first one."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree) if self.spread else tree
