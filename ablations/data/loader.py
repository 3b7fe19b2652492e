"""Batches of encoded images, read, decoded and cropped by Grain's worker processes.

A batch is a function of the configuration and the batch's number alone, whatever the number of workers and hosts: a run
can begin at any step, and two workers or none give the same bits.
"""

import contextlib
import gc
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np

from ablations import randomness
from ablations.data.crops import Middle, Random
from ablations.data.encoded import BrokenImage, Encoded
from ablations.errors import UserError
from ablations.system import interrupt, machine

BUFFERED = 2  # finished batches that each worker keeps
SHARED = Path("/dev/shm")  # where workers put batches, on Linux

# What a terminal or SLURM may send to all processes of a run at once.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

# Grain raises a RuntimeError of whatever happens to a worker; only its text tells one that was killed.
WORKER_DIED = "process was terminated unexpectedly with exit code"
Batch = dict[str, np.ndarray]


def check() -> None:
    """Raise UserError, before anything is read, if Grain is not installed."""
    if find_spec("grain") is None:
        raise UserError("data=imagenet and image_folder need Grain: pip install 'ablations[imagenet]'")


@dataclass(frozen=True)
class Training:
    """Step -> its batch: (rows, pixels, pixels, 3) uint8 images, (rows,) int32 labels, and the numbers of broken images.

    rows: which of the `batch_size` images this host reads. skip: replace a broken image by the next.
    """

    images: Encoded
    labels: np.ndarray
    crop: Random | Middle
    seed: int
    batch_size: int
    rows: range
    skip: bool

    def __call__(self, step: int) -> Batch:
        chosen = randomness.batches(self.seed, step, 1, self.batch_size, len(self.images))[0]
        batch, labels, broken = _empty(len(self.rows), self.crop.pixels), [], []
        for i, row in enumerate(self.rows):
            for past in range(len(self.images)):
                number = (int(chosen[row]) + past) % len(self.images)
                try:
                    random = randomness.image_generator(self.seed, step * self.batch_size + row)
                    batch[i] = self.images.decode(number, self.crop, random)
                    labels.append(self.labels[number])
                    break
                except BrokenImage:
                    if not self.skip:
                        raise
                    broken.append(number)
            else:
                raise UserError(f"{self.images.name(int(chosen[row]))}: broken, as are all the others")
        return {"images": batch, "labels": np.array(labels, np.int32), "broken": np.array(broken, np.int64)}


@dataclass(frozen=True)
class InOrder:
    """Number -> that batch of the images, in their own order; the last may be smaller.

    skip: a broken image gets label -1 and black pixels.
    """

    images: Encoded
    labels: np.ndarray
    crop: Middle
    batch_size: int
    skip: bool

    def __call__(self, number: int) -> Batch:
        chosen = range(number * self.batch_size, min((number + 1) * self.batch_size, len(self.images)))
        batch, labels, broken = _empty(len(chosen), self.crop.pixels), self.labels[chosen].astype(np.int32), []
        for i, number in enumerate(chosen):
            try:
                batch[i] = self.images.decode(number, self.crop)
            except BrokenImage:
                if not self.skip:
                    raise
                labels[i] = -1
                broken.append(number)
        return {"images": batch, "labels": labels, "broken": np.array(broken, np.int64)}

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)


def _empty(rows: int, pixels: int) -> np.ndarray:
    return np.zeros((rows, pixels, pixels, 3), np.uint8)


@contextlib.contextmanager
def reading(batch: Callable[[int], Batch], numbers: range, workers: int | None) -> Iterator[Iterator[Batch]]:
    """The batches with these numbers, in order, made ahead of time by so many processes; None: one for each core.

    Raises UserError if an image is broken, a worker dies, or there is no shared memory for batches.
    """
    check()
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads absl's flags, which only absl's own main parses
    workers = machine.cores() if workers is None else workers
    data = grain.MapDataset.range(numbers.start, numbers.stop).map(batch)
    ahead = 0 if workers else 1  # without workers, a thread reads the next batch during a step
    data = data.to_iter_dataset(grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead))
    if workers:
        interrupt.start_outliving(resource_tracker.ensure_running)
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=BUFFERED)
        data = data.mp_prefetch(options, worker_init_fn=_begin)
    iterator = iter(data)
    batches = _translated(iterator)
    try:
        yield batches
    finally:
        batches.close()
        iterator.close()
        del iterator
        if (
            workers
        ):  # their shared memory is freed once nothing refers to it; Grain's last errors do, in reference cycles
            gc.collect()


def _translated(iterator) -> Generator[Batch, None, None]:
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except UserError:
            raise
        except RuntimeError as error:
            if WORKER_DIED not in str(error):
                raise
            raise UserError(
                "a process that reads images was killed, perhaps because it ran out of memory; what was finished is kept. "
                "To go on, type the same command with fewer data.workers=..."
            ) from error
        # A copy: the worker reuses its shared memory.
        yield {name: np.array(value) for name, value in batch.items()}


def check_room(batch_bytes: int, workers: int | None) -> None:
    """Raise UserError if there is too little shared memory for the workers' batches.

    batch_bytes: one training batch and one of each test that is open at the same time.
    """
    workers = machine.cores() if workers is None else workers
    needed = (
        workers * 2 * (BUFFERED + 1) * batch_bytes
    )  # Grain buffers twice: in each worker, and in this process for each worker
    if workers and SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < needed:
        raise UserError(
            f"data.workers={workers}: workers pass batches through {SHARED}, which has {free / 1e6:,.0f} MB free and needs "
            f"{needed / 1e6:,.0f} MB; choose fewer, or data.workers=0 for none"
        )


def _begin(_index: int, _count: int) -> None:
    """In a worker: leave signals to the training process, and end when it has ended."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
