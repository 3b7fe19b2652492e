"""Weights of other programs, torchvision's above all: read into a weights file of ours, and written under their names.

Their layers are ours in the same order, so tensors are matched by their position and checked by their shape.
"""

import io
from importlib import import_module
from pathlib import Path

import numpy as np

from ablations.config.run import Config
from ablations.errors import UserError
from ablations.networks import names
from ablations.system.files import write_whole
from ablations.training import weights

# What torchvision's weights were trained with: pixels in [0, 1], each channel standardised over ImageNet.
MEAN, DIVISOR = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNUSED = ("num_batches_tracked",)  # a counter of PyTorch's BN
AUXILIARY = ("aux", "AuxLogits")  # GoogLeNet's classifiers that are off in tests


def read(path: Path, *, auxiliary: bool) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch file by their names, in their order, without counters and, unless `auxiliary`, without
    auxiliary classifiers.

    Raises UserError if there is no such file, it is damaged, or PyTorch is not installed.
    """
    torch = _torch(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"weights={path}: there is no such file") from error
    except Exception as error:  # of many kinds, from pickle, zipfile and torch
        raise UserError(f"weights={path}: PyTorch cannot read it: {str(error).splitlines()[0]}") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(torch.is_tensor(tensor) for tensor in content.values()):
        raise UserError(f"weights={path}: holds no state_dict, a dictionary of tensors")
    return {
        name: tensor.numpy()
        for name, tensor in content.items()
        if not name.endswith(UNUSED) and (auxiliary or not name.startswith(AUXILIARY))
    }


def convert(path: Path, out: Path, config: Config, steps, state) -> None:
    """Write a PyTorch file as a weights file of ours.

    steps, state: of the network that the file is to fill. Raises UserError, which names the first layer that differs, if
    it is another network; nothing is then written.
    """
    theirs, ours = read(path, auxiliary=_has_auxiliary(config)), _ours(config)
    if len(theirs) < len(ours) and _has_auxiliary(config) and not any(name.startswith(AUXILIARY) for name in theirs):
        raise UserError(f"weights={path}: it has no auxiliary classifiers: add model.auxiliary=none")
    expected = weights.named_tensors(state.params, state.others, config.model.architecture())
    paired = {}
    for (name, tensor), own in zip(theirs.items(), ours, strict=False):
        if tensor.size != expected[own].size or tensor.shape[0] != expected[own].shape[0]:
            raise UserError(
                f"weights={path}: another network than model={config.model.name}: {name} has the shape {tensor.shape}, and "
                f"{own} in its place {expected[own].shape}"
            )
        paired[own] = tensor.reshape(expected[own].shape).astype(np.float32)
    if len(theirs) != len(ours):
        raise UserError(
            f"weights={path}: another network than model={config.model.name}: it has {len(theirs)} tensors, and that {len(ours)}"
        )
    paired |= {name: tensor for name, tensor in expected.items() if name not in paired}  # the rates of dropout
    paired |= {"normalization.mean": np.array(MEAN, np.float32), "normalization.divisor": np.array(DIVISOR, np.float32)}
    weights.write(out, paired, config)


def named_as(path: Path, like: Path, out: Path) -> None:
    """Write a weights file of ours as a PyTorch file, with the names and shapes of the file `like`.

    Raises UserError if the two hold different networks.
    """
    torch = _torch(out)
    tensors, config = weights.tensors(path), weights.configuration(path)
    theirs, ours = read(like, auxiliary=_has_auxiliary(config)), _ours(config)
    if len(theirs) != len(ours):
        raise UserError(f"like={like}: has {len(theirs)} tensors, and model={config.model.name} {len(ours)}")
    renamed = {}
    for (name, reference), own in zip(theirs.items(), ours, strict=True):
        if reference.size != tensors[own].size:
            raise UserError(f"like={like}: {name} has the shape {reference.shape}, and {own} {tensors[own].shape}")
        renamed[name] = torch.from_numpy(np.ascontiguousarray(tensors[own].reshape(reference.shape)))
    content = io.BytesIO()
    torch.save(renamed, content)
    write_whole(out, content.getbuffer())


def _torch(path: Path):
    """PyTorch, which only this needs, imported."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise UserError(f"{path}: PyTorch's files need PyTorch: pip install torch") from error


def _has_auxiliary(config: Config) -> bool:
    return bool(config.model.architecture().auxiliary)


def _ours(config: Config) -> list[str]:
    if config.shortcut.name not in ("identity", "none"):
        raise UserError(
            f"shortcut={config.shortcut.name}: has layers that no other program's file has; choose the model's own"
        )
    return names.tensors(config.model.architecture(), config.activation)
