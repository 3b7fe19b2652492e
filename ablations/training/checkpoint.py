"""Checkpoints of a run that is not finished: written during training, whole or not at all; the newest two are kept.

Only this module knows Orbax. A checkpoint holds the arrays of a `steps.State` and, as JSON, what the loop
has counted, the configuration, and a digest of the arrays.
"""

import contextlib
import copy
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ablations.config.run import Config, from_resolved
from ablations.errors import UserError
from ablations.terminal.units import size

FOLDER = "checkpoints"
KEPT = 2
SLACK_BYTES = 1 << 20  # what Orbax writes beside the arrays, and the files of the run

# TensorStore, which writes for Orbax, raises a ValueError for any error of the system; only its text has the number.
SYSTEM_ERROR = re.compile(r"\[os_error_code='(\d+)'")


def newest(folder: Path, config: Config | None) -> int:
    """The step at which a run in this folder would resume, 0 for the start. Nothing is restored.

    config: that of the run; None accepts any.
    """
    for step, resolved in _configurations(folder):
        with contextlib.suppress(KeyError):
            if config is None or config.matches(resolved):
                return step
    return 0


def configuration(folder: Path) -> dict | None:
    """The resolved configuration of the newest checkpoint that can be read; None if there is none."""
    return next((resolved for _, resolved in _configurations(folder)), None)


def _configurations(folder: Path) -> Iterator[tuple[int, dict]]:
    """Yield the step and the configuration of each checkpoint, the newest first; needs neither Orbax nor JAX."""
    # Orbax gives a folder its number once all of it is written.
    numbered = [path for path in (folder / FOLDER).glob("*") if path.name.isdigit()]
    for path in sorted(numbered, key=lambda path: int(path.name), reverse=True):
        with contextlib.suppress(OSError, ValueError, KeyError):
            yield int(path.name), _complete(json.loads((path / "loop" / "metadata").read_text())["config"])


def _complete(resolved: dict) -> dict:
    """A checkpoint's configuration; settings that are newer than the checkpoint get their defaults, as in a record."""
    try:
        return from_resolved(resolved).resolved()
    except ValueError:  # of another version, or with a shortcut that is not defined here
        return resolved


class Checkpoints:
    """The checkpoints in `folder/checkpoints`."""

    def __init__(self, folder: Path):
        self.path = folder.absolute() / FOLDER
        self._opened = None

    def _manager(self):
        if self._opened is None:
            import jax
            import orbax.checkpoint as ocp

            # A failed write reaches the user as one message, not as a traceback from each of Orbax's threads.
            logging.getLogger("absl").setLevel(logging.CRITICAL)
            alone = {} if jax.process_count() == 1 else {"active_processes": {0}, "barrier_sync_key_prefix": "first"}
            options = ocp.CheckpointManagerOptions(
                max_to_keep=KEPT,
                enable_async_checkpointing=True,
                create=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, **alone),
            )
            self._opened = ocp.CheckpointManager(_literal(self.path), options=options, item_names=("state", "loop"))
        return self._opened

    def check_room(self, state) -> None:
        """Raise UserError, before a run begins, if the disk has no room for the checkpoints that it will keep."""
        import jax

        existing = sum(path.name.isdigit() for path in self.path.glob("*"))  # if the run resumes
        needed = max(KEPT + 1 - existing, 1) * sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + SLACK_BYTES
        if (free := shutil.disk_usage(self.path.parent).free) < needed:
            raise UserError(
                f"{self.path.parent}: the run's checkpoints take {size(needed)} of disk space, {size(free)} are free; "
                "make room, or choose another runs_dir=..."
            )

    def save(self, step: int, state, loop: dict, config: dict, *, wait: bool = False) -> None:
        """Start to write a checkpoint; with `wait`, return when it is on disk. loop: `Tally.plain`.

        Raises OSError if the disk is full or read-only, in this write or the one before.
        """
        import orbax.checkpoint as ocp

        leaves = _to_host(state)
        self.path.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.path).free < 1.1 * sum(leaf.nbytes for leaf in leaves) + SLACK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A copy of the loop, too: Orbax writes it out later, when the next step has been counted.
        loop = {"config": config, "digest": _digest(leaves), "loop": copy.deepcopy(loop)}
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(leaves), loop=ocp.args.JsonSave(loop))
        manager = self._manager()
        if step in manager.all_steps():  # `restore` has refused it; Orbax would silently keep it
            _as_os_error(lambda: manager.delete(step))
        _as_os_error(lambda: manager.save(step, args=arguments, force=True))
        if wait:
            _as_os_error(manager.wait_until_finished)

    def save_if_due(self, steps, state, tally, clock, *, at_once: bool) -> None:
        """Save if `checkpoint_seconds` have passed since the last time. Only the first process of a run writes.

        at_once: save in any case, and return when the checkpoint is on disk.
        """
        from ablations.training import processes

        if processes.is_first() and (at_once or clock.since_checkpoint() > steps.config.checkpoint_seconds):
            clock.note()
            kept = steps.devices.first_copy(state)
            self.save(tally.step, kept, tally.plain(), steps.config.resolved(), wait=at_once)

    def restore(self, like, config: dict, say: Callable[[str], None]):
        """The newest checkpoint that can be used: (state, loop), or None if there is none.

        like: a state of the same structure, on one device. say: is told which checkpoints are refused, and why. The
        first process of a run reads for all.
        """
        from ablations.training import processes

        newest = processes.from_first(lambda: self._newest(like, config, say))
        return newest and (_from_host(newest[0], like), newest[1])

    def _newest(self, like, config: dict, say: Callable[[str], None]) -> tuple[list[np.ndarray], dict] | None:
        if not self.path.is_dir():
            return None
        import orbax.checkpoint as ocp

        manager, abstract = self._manager(), _abstract(like)
        for step in sorted(manager.all_steps(), reverse=True):
            path = self.path / str(step)
            try:
                loop = manager.restore(step, args=ocp.args.Composite(loop=ocp.args.JsonRestore()))["loop"]
                if _complete(loop["config"]) != config:
                    say(f"{path} belongs to another configuration: not used")
                    continue
                restore = ocp.args.StandardRestore(abstract)
                with _silent_threads():
                    leaves = manager.restore(step, args=ocp.args.Composite(state=restore))["state"]
                if _digest(leaves) != loop["digest"]:
                    raise ValueError("its digest does not match")
            except Exception as error:  # whatever Orbax raises for a damaged file
                reason = str(error).strip().splitlines() or [type(error).__name__]
                say(f"{path} is damaged ({reason[0][:200]}): not used")
                continue
            return leaves, loop["loop"]
        return None

    def check_groups(self, asked: Config, now: Config) -> None:
        """Raise UserError if a run was begun with other groups for BN than recipe.bn_group=device means here."""
        from ablations.training import processes

        if asked.recipe.bn_group != "device" or not self.path.is_dir():
            return
        kept = processes.from_first(lambda: configuration(self.path.parent))
        if kept and kept != now.resolved() and asked.matches(kept):
            raise UserError(
                f"recipe.bn_group=device: the run in {self.path.parent} was begun with BN over groups of "
                f"{kept['recipe']['bn_group'] or kept['recipe']['batch_size']} images, and a device has "
                f"{now.recipe.bn_group or now.recipe.batch_size} here; resume it with as many devices as it was begun "
                "with, or give force=true and remove its checkpoints"
            )

    def close(self) -> None:
        """Wait for the last write to end."""
        if self._opened is not None:
            manager, self._opened = self._opened, None
            _as_os_error(manager.close)

    def remove(self) -> None:
        """Remove all checkpoints, once the run is finished and its weights are written."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _literal(path: Path):
    """The path for Orbax, which looks into it by `glob`: there, model.layers=[2] in the name of a folder is a pattern."""
    from etils import epath

    class Literal(type(epath.Path(path))):
        def glob(self, pattern: str) -> Iterator["Literal"]:
            return map(Literal, Path(self).glob(pattern))

    return Literal(path)


@contextlib.contextmanager
def _silent_threads() -> Iterator[None]:
    """Once one array cannot be read, Orbax closes its event loop, and each that follows fails in a thread of TensorStore."""
    before = sys.unraisablehook

    def report(failure):
        if str(failure.exc_value) != "Event loop is closed":
            before(failure)

    sys.unraisablehook = report
    try:
        yield
    except BaseException:
        time.sleep(0.5)  # until those that were on their way have ended
        raise
    finally:
        sys.unraisablehook = before


def _to_host(state) -> list[np.ndarray]:
    import jax

    # Copies: on a CPU, JAX and numpy share an array's memory, and the next step reuses that memory.
    leaves = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(state)]
    return [np.array(leaf, copy=True) for leaf in leaves]


def _abstract(state) -> list:
    """The shapes and types of what `_to_host` returns; nothing is copied."""
    import jax

    leaves = (jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(state))
    return [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]


def _from_host(leaves, like):
    import jax

    kinds, structure = jax.tree.flatten(like)
    # Copies again: the steps reuse the memory of the state that they are given. `jnp.array` is a program for each shape.
    arrays = [jax.device_put(leaf, may_alias=False) for leaf in leaves]
    return structure.unflatten(
        jax.random.wrap_key_data(leaf) if _is_key(kind) else leaf for leaf, kind in zip(arrays, kinds, strict=True)
    )


def _is_key(leaf) -> bool:
    import jax

    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _digest(leaves) -> str:
    digest = hashlib.sha256()
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _as_os_error(write: Callable) -> None:
    try:
        write()
    except OSError:
        raise
    except Exception as error:
        if number := SYSTEM_ERROR.search(str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise
