"""Weights under names and layouts that other frameworks read: a safetensors file.

One tensor a layer of one unit, stacks taken apart: `stages.1.units.4.convolutions.0.weight`. Convolutions
are (out, in, k, k), linear layers (out, in), BN has weight, bias, running_mean and running_var, as in
PyTorch. `normalization.mean` and `.divisor` make the network's input from pixels in [0, 1]. The metadata's
entry `ablations` is JSON: the configuration and the epsilon of BN.
"""

import json
import re
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from ablations.records import write_whole

BN = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
LAYOUT = {2: (1, 0), 4: (3, 2, 0, 1)}  # (in, out) -> (out, in); (k, k, in, out) -> (out, in, k, k)


def named(params, others) -> dict[str, np.ndarray]:
    """All weights and BN statistics of a state by their outside names."""
    tensors = {}
    for path, value in [*nnx.to_flat_state(params), *nnx.to_flat_state(others)]:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key) or path[-1] == "count":
            continue  # where the random streams stand is no weight
        name, value = ".".join(map(str, path)), np.asarray(value)
        stage = re.match(r"(stages\.\d+)\.(first|rest)\.(.+)", name)
        if stage is None:
            tensors |= _outside(name, value)
        elif stage[2] == "first":
            tensors |= _outside(f"{stage[1]}.units.0.{stage[3]}", value)
        else:
            for i, one in enumerate(value):
                tensors |= _outside(f"{stage[1]}.units.{i + 1}.{stage[3]}", one)
    return tensors


def _outside(name, value):
    parent, leaf = name.rsplit(".", 1)
    if leaf == "kernel":
        return {f"{parent}.weight": np.ascontiguousarray(value.transpose(LAYOUT[value.ndim]))}
    return {f"{parent}.{BN.get(leaf, leaf)}": np.ascontiguousarray(value)}


def save(path: Path, steps, state) -> None:
    """Write the weights of a run, whole or not at all."""
    from safetensors.numpy import save as serialise

    tensors = named(state.params, state.others)
    tensors |= {f"normalization.{name}": value for name, value in steps.normalization.items()}
    metadata = {"config": steps.config.resolved(), "bn_epsilon": 1e-5, "layout": "torch"}
    # One entry: safetensors writes several in any order, and the same run is to give the same file.
    write_whole(path, serialise(tensors, {"ablations": json.dumps(metadata)}))
