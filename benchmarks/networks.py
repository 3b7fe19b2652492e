"""The same networks in PyTorch, with identity shortcuts: they load a file of `ablations export` with `strict=True`.

Written as is usual in PyTorch, with a module for each unit; `ablations_tests/benchmarks/compare_test.py` shows that
the logits agree.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ablations.networks import architecture
from ablations.networks.activation import ActivationOrder
from ablations.networks.family import ModelConfig


class Activation(nn.Module):
    def __init__(self, sequence: list[str], channels: int):
        super().__init__()
        self.sequence = tuple(sequence)
        if "bn" in sequence:
            self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        for kind in self.sequence:
            x = self.bn(x) if kind == "bn" else F.relu(x)
        return x


class Projection(nn.Module):
    """A 1x1 convolution if the shape changes, followed by BN if F ends with BN: option B."""

    def __init__(self, channels: int, filters: int, stride: int, *, bn: bool):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
        self.bn = nn.BatchNorm2d(filters) if bn else nn.Identity()

    def forward(self, x):
        return self.bn(self.conv(x))


class ZeroPadding(nn.Module):
    """Every stride-th pixel, and channels of zeros at the end: option A."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.stride, self.missing = stride, filters - channels

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class Unit(nn.Module):
    """x' = f(h(x) + F(x))."""

    def __init__(self, unit: architecture.Unit, order: ActivationOrder, channels: int):
        super().__init__()
        shapes, filters = [], channels
        for layer in unit.branch:
            shapes.append((filters, layer.filters, layer.kernel, layer.stride))
            filters = layer.filters
        self.before = Activation(order.before if unit.before else [], channels)
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in shapes)
        sequences = [order.between] * (len(shapes) - 1) + [order.after]
        self.activations = nn.ModuleList(Activation(s, o) for s, (_, o, _, _) in zip(sequences, shapes, strict=True))
        self.shortcut = nn.ModuleDict()
        self.reads_activated = False
        if unit.changes(channels):
            self.reads_activated, projection = unit.reads_activated, unit.match.projection_kernel
            shape = channels, filters, architecture.stride(unit.branch)
            self.shortcut["h"] = Projection(*shape, bn="bn" in order.after) if projection else ZeroPadding(*shape)
        self.after_addition = Activation(order.after_addition, filters)

    def forward(self, x):
        fx = activated = self.before(x)
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            fx = activation(convolution(fx))
        x = activated if self.reads_activated else x
        return self.after_addition((self.shortcut["h"](x) if self.shortcut else x) + fx)


class Stage(nn.Module):
    def __init__(self, units: list[Unit]):
        super().__init__()
        self.units = nn.ModuleList(units)


class ResNet(nn.Module):
    """Normalised images (N, C, H, W) -> logits (N, classes)."""

    def __init__(self, model: ModelConfig, order: ActivationOrder, *, classes: int, image_channels: int):
        super().__init__()
        data = model.architecture()
        stem, channels = data.stem, data.stem.filters
        self.stem = nn.Conv2d(image_channels, channels, stem.kernel, stem.stride, stem.kernel // 2, bias=False)
        self.stem_activation = Activation(["bn", "relu"], channels)
        self.pool = nn.MaxPool2d(3, 2, 1) if data.stages[0].entry else nn.Identity()
        self.stages = nn.ModuleList()
        for stack in data.stacks:
            before = [stack.channels, *[stack.filters] * (len(stack.units) - 1)]
            units = [Unit(unit, order, count) for unit, count in zip(stack.units, before, strict=True)]
            self.stages.append(Stage(units))
        channels = data.stacks[-1].filters
        self.head_activation = Activation(order.before, channels)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def units(self) -> list[Unit]:
        return [unit for stage in self.stages for unit in stage.units]

    def forward(self, images):
        x = self.pool(self.stem_activation(self.stem(images)))
        for unit in self.units:
            x = unit(x)
        return self.head(self.head_activation(x).mean((2, 3)))


def load(network: ResNet, tensors: dict[str, torch.Tensor]) -> None:
    """Fill a network from an exported file; RuntimeError if a tensor is missing or left over."""
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("normalization.")}
    counts = {name: torch.zeros(()) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    network.load_state_dict(weights | counts, strict=True)
