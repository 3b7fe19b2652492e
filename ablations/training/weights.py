"""Weights under names and in layouts that other frameworks read: a safetensors file.

One tensor for each layer of one unit, stacks taken apart, in the layouts of PyTorch: convolutions (out, in, k, k),
all with zero padding (k - 1) / 2 on every side; the linear layer (out, in); BN as weight, bias, running_mean
and running_var. In the order of the computation, with S counting stages and U the units of a stage from 0:

    normalization.mean, .divisor         the input is (pixels / 255 - mean) / divisor, pixels in 0 ... 255;
                                         these two keep JAX's (H, W, C) or (C,)
    stem.weight                          then stem_activation.bn.*, ReLU; then max pooling after the ImageNet stem
    stages.S.units.U.before.bn.*         BN of the place "before"; not in the network's first unit, whose activation
                                         is that of the stem
    stages.S.units.U.convolutions.I.weight
    stages.S.units.U.activations.I.bn.*  BN after convolution I: the place "between" or, after the last one, "after"
    stages.S.units.U.shortcut.*          h.conv.weight, h.bn.*: a projection if the shape changes, with BN if the
                                         place "after" has one; w.conv.weight, w.bn.*: the 1x1 shortcut;
                                         gate.conv.weight, gate.bias (b_g; with gate_bn it is gate.bn.bias); with two
                                         convolutions, before these, gate.first.conv.weight, gate.first.bn.*, ReLU;
                                         the constants a (shortcut_scale), b (residual_scale), drop.rate; the trained
                                         numbers a, b or, one for each channel, d
    stages.S.units.U.after_addition.bn.*
    head_activation.bn.*                 BN of the place "before", after the last addition
    head.weight, head.bias               after the mean over pixels

The entry `ablations` of the metadata is JSON: "config", with all settings, and "bn_epsilon". Option A takes the pixels
[::2, ::2] and adds channels of zeros; dropout that is not inverted multiplies by 1 - rate at test time.
"""

import contextlib
import json
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from ablations.errors import UserError
from ablations.networks import stack
from ablations.system.files import write_whole

BN = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
TO_TORCH = {2: (1, 0), 4: (3, 2, 0, 1)}  # (in, out) -> (out, in); (k, k, in, out) -> (out, in, k, k)


def save(path: Path, steps, state) -> None:
    """Write the weights of a run, whole or not at all."""
    from safetensors.numpy import save as serialise

    tensors = named_tensors(state.params, state.others)
    tensors |= {f"normalization.{name}": value for name, value in steps.normalization.items()}
    metadata = {"config": steps.config.resolved(), "bn_epsilon": 1e-5, "layout": "torch"}
    # A single entry: safetensors writes several in any order, but the same run must give the same file.
    write_whole(path, serialise(tensors, {"ablations": json.dumps(metadata)}))


def load(path: Path, state):
    """The state with the weights and BN statistics of a file.

    Raises UserError if the file is damaged or holds another network.
    """
    from safetensors.numpy import load_file

    with _readable(path):
        tensors = load_file(path)
        params, others = (_filled(part, tensors) for part in (state.params, state.others))
    return state._replace(params=params, others=others)


def normalization(path: Path) -> dict[str, np.ndarray]:
    """The "mean" and the "divisor" of a weights file. Raises UserError if the file is damaged."""
    from safetensors import safe_open

    with _readable(path), safe_open(path, "np") as file:
        return {name: file.get_tensor(f"normalization.{name}") for name in ("mean", "divisor")}


@contextlib.contextmanager
def _readable(path: Path):
    """Turn the errors of reading a file that is damaged or holds another network into a UserError."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged or holds another network: {error}") from error


def named_tensors(params, others) -> dict[str, np.ndarray]:
    """All weights and BN statistics of a state by their names in a weights file."""
    tensors = {}
    for path, leaf in [*nnx.to_flat_state(params), *nnx.to_flat_state(others)]:
        if not _is_random(path, leaf):
            units = stack.units(path, np.asarray(leaf))
            for name, unit in zip(_names(path, leaf.shape), units, strict=True):
                is_kernel = path[-1] == "kernel"
                tensors[name] = np.array(unit.transpose(TO_TORCH[unit.ndim]) if is_kernel else unit, order="C")
    return tensors


def _filled(part, tensors):
    """Parameters, or the other variables, with the tensors of a file in place of their leaves."""
    leaves = []
    for path, leaf in nnx.to_flat_state(part):
        if not _is_random(path, leaf):
            units = [tensors[name] for name in _names(path, leaf.shape)]
            if path[-1] == "kernel":
                units = [unit.transpose(np.argsort(TO_TORCH[unit.ndim])) for unit in units]
            joined = stack.joined(path, units)
            if joined.shape != leaf.shape:
                raise ValueError(f"{'.'.join(map(str, path))} has shape {joined.shape}, not {leaf.shape}")
            leaf = jax.numpy.asarray(joined)
        leaves.append((path, leaf))
    return nnx.from_flat_state(leaves)


def _names(path, shape) -> list[str]:
    """The names in a weights file for the leaf at this path, one for each unit that it holds."""
    *_, leaf = path
    leaf = "weight" if leaf == "kernel" else BN.get(leaf, str(leaf))
    return [".".join([*map(str, parents), leaf]) for *parents, _ in stack.unit_paths(path, shape)]


def _is_random(path, value) -> bool:
    """Whether a leaf is the state of a random stream, which is not a weight."""
    return jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key) or path[-1] == "count"
