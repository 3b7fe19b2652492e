"""Weights under names and in layouts that other frameworks read: a safetensors file.

One tensor for each layer of one unit, stacks taken apart, in the layouts of PyTorch: convolutions (out, in / groups, k, k),
with zero padding (k - 1) / 2 on every side if the network's description has no other; transposed ones (in, out, 2, 2);
linear layers (out, in); BN as weight, bias, running_mean and running_var. In the order of the computation, with S
counting stages of alike units (`Architecture.stacks`) and U the units of a stage from 0:

    normalization.mean, .divisor         the input is (pixels / 255 - mean) / divisor, pixels in 0 ... 255;
                                         these two keep JAX's (H, W, C) or (C,)
    stem.weight                          then stem_activation.bn.*, ReLU
    entries.S.*                          rows before stage S, such as pooling and what is named below, as in a unit
    stages.S.units.U.before.bn.*         BN of the place "before"; not in the network's first unit, whose activation
                                         is that of the stem
    stages.S.units.U.convolutions.I.weight
    stages.S.units.U.activations.I.bn.*  BN after convolution I: the place "between" or, after the last one, "after"
    stages.S.units.U.extras.I.*          the other rows with weights: squeeze.*, expand.*, the linear layers of a
                                         squeeze-and-excitation; branches.B.*, parallel branches, each as a unit's rows;
                                         weight, bias of a transposed convolution; bn.*; rate of a dropout
    stages.S.units.U.shortcut.*          h.conv.weight, h.bn.*: a projection if the shape changes, with BN if the
                                         place "after" has one; w.conv.weight, w.bn.*: the 1x1 shortcut;
                                         gate.conv.weight, gate.bias (b_g; with gate_bn it is gate.bn.bias); with two
                                         convolutions, before these, gate.first.conv.weight, gate.first.bn.*, ReLU;
                                         the constants a (shortcut_scale), b (residual_scale), drop.rate; the trained
                                         numbers a, b or, one for each channel, d
    stages.S.units.U.after_addition.bn.*
    head_activation.bn.*                 BN of the place "before", after the last addition
    exit.*                               rows after the last unit, as in a unit
    hidden.I.*, dropouts.I.rate          linear layers and dropout before the classifier; the first one takes the means
                                         over cells of the map, flattened in PyTorch's order: channel, row, column
    head.weight, head.bias               after the mean over pixels
    auxiliary.I.*                        auxiliary classifier I, which is off in tests: rows.*, as in a unit; hidden.J.*,
                                         dropouts.J.rate, head.*

The entry `ablations` of the metadata is JSON: "config", with all settings, and "bn_epsilon". Option A takes the pixels
[::2, ::2] and adds channels of zeros; dropout that is not inverted multiplies by 1 - rate at test time.
"""

import contextlib
import json
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from ablations.config.run import Config, from_resolved
from ablations.errors import UserError
from ablations.networks import stack
from ablations.networks.architecture import Architecture
from ablations.system.files import write_whole

BN = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
TO_TORCH = (3, 2, 0, 1)  # of a convolution: (k, k, in, out) -> (out, in, k, k)
TRANSPOSED_TO_TORCH = (2, 3, 0, 1)  # of a transposed one: (k, k, in, out) -> (in, out, k, k)


def save(path: Path, steps, state) -> None:
    """Write the weights of a run, whole or not at all."""
    tensors = named_tensors(state.params, state.others, steps.config.model.architecture())
    write(path, tensors | {f"normalization.{name}": value for name, value in steps.normalization.items()}, steps.config)


def write(path: Path, tensors: dict[str, np.ndarray], config: Config) -> None:
    """Write the tensors of a network of this configuration, whole or not at all."""
    from safetensors.numpy import save as serialise

    metadata = {"config": config.resolved(), "bn_epsilon": config.model.architecture().bn_epsilon, "layout": "torch"}
    # A single entry: safetensors writes several in any order, but the same run must give the same file.
    write_whole(path, serialise(tensors, {"ablations": json.dumps(metadata)}))


def load(path: Path, steps, state):
    """A state of these steps with the weights and BN statistics of a file.

    Raises UserError if the file is damaged or holds another network.
    """
    from safetensors.numpy import load_file

    architecture = steps.config.model.architecture()
    with _readable(path):
        tensors = load_file(path)
        params, others = (_filled(part, tensors, architecture) for part in (state.params, state.others))
    return state._replace(params=params, others=others)


def normalization(path: Path) -> dict[str, np.ndarray]:
    """The "mean" and the "divisor" of a weights file. Raises UserError if the file is damaged."""
    from safetensors import safe_open

    with _readable(path), safe_open(path, "np") as file:
        return {name: file.get_tensor(f"normalization.{name}") for name in ("mean", "divisor")}


def tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a weights file. Raises UserError if the file is damaged."""
    from safetensors.numpy import load_file

    with _readable(path):
        return load_file(path)


def configuration(path: Path) -> Config:
    """The configuration of the network in a weights file. Raises UserError if the file is damaged or of something else."""
    from safetensors import safe_open

    with _readable(path), safe_open(path, "np") as file:
        content = (file.metadata() or {}).get("ablations")
        if content is None:
            raise ValueError("it has no entry `ablations`; for a file of PyTorch there is `ablations import`")
        return from_resolved(json.loads(content)["config"])


@contextlib.contextmanager
def _readable(path: Path):
    """Turn the errors of reading a file that is not there, is damaged or holds another network into a UserError."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged or holds another network: {error}") from error


def named_tensors(params, others, architecture: Architecture) -> dict[str, np.ndarray]:
    """All weights and BN statistics of a state by their names in a weights file."""
    tensors = {}
    for path, leaf in [*nnx.to_flat_state(params), *nnx.to_flat_state(others)]:
        if not _is_random(path, leaf):
            units = stack.units(path, np.asarray(leaf))
            for name, unit in zip(_names(path, leaf.shape), units, strict=True):
                tensors[name] = np.array(
                    _to_torch(path, unit, architecture) if path[-1] == "kernel" else unit, order="C"
                )
    return tensors


def _filled(part, tensors, architecture: Architecture):
    """Parameters, or the other variables, with the tensors of a file in place of their leaves."""
    leaves = []
    for path, leaf in nnx.to_flat_state(part):
        if not _is_random(path, leaf):
            units = [tensors[name] for name in _names(path, leaf.shape)]
            if path[-1] == "kernel":
                units = [_from_torch(path, unit, architecture) for unit in units]
            joined = stack.joined(path, units)
            if joined.shape != leaf.shape:
                raise ValueError(f"{'.'.join(map(str, path))} has shape {joined.shape}, not {leaf.shape}")
            leaf = jax.device_put(joined, may_alias=False)  # `jnp.asarray` is a program for each shape
        leaves.append((path, leaf))
    return nnx.from_flat_state(leaves)


def _to_torch(path, kernel: np.ndarray, architecture: Architecture) -> np.ndarray:
    """The kernel of one layer in PyTorch's layout."""
    if kernel.ndim == 4:
        return kernel.transpose(_axes(path))
    return kernel.reshape(_cells(path, architecture), -1, kernel.shape[-1]).transpose().reshape(kernel.shape[::-1])


def _from_torch(path, tensor: np.ndarray, architecture: Architecture) -> np.ndarray:
    """The kernel of one layer from PyTorch's layout."""
    if tensor.ndim == 4:
        return tensor.transpose(np.argsort(_axes(path)))
    return tensor.reshape(len(tensor), -1, _cells(path, architecture)).transpose().reshape(tensor.shape[::-1])


def _axes(path) -> tuple[int, ...]:
    """The axes of a kernel in PyTorch's order. A transposed convolution is an entry of `extras` itself."""
    return TRANSPOSED_TO_TORCH if path[-3:-2] == ("extras",) else TO_TORCH


def _cells(path, architecture: Architecture) -> int:
    """The number of pixels that a linear layer sees as a flattened map, channels last; PyTorch's has channels first."""
    head = architecture.head
    if path[0] == "auxiliary":
        head, path = architecture.auxiliary[path[1]].head, path[2:]
    first = ("hidden", 0, "kernel") if head.hidden else ("head", "kernel")
    return head.cells**2 if path == first and not head.pixels else 1


def _names(path, shape) -> list[str]:
    """The names in a weights file for the leaf at this path, one for each unit that it holds."""
    *_, leaf = path
    leaf = "weight" if leaf == "kernel" else BN.get(leaf, str(leaf))
    return [".".join([*map(str, parents), leaf]) for *parents, _ in stack.unit_paths(path, shape)]


def _is_random(path, value) -> bool:
    """Whether a leaf is the state of a random stream, which is not a weight."""
    return jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key) or path[-1] == "count"
