"""The same networks in PyTorch, with identity shortcuts or none: they load a file of `ablations export` with `strict=True`.

Written as is usual in PyTorch, and from the data of an architecture alone: it shares no layer with ours, so that
`ablations_tests/benchmarks/compare_test.py`, which shows that the logits agree, is a check of both.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ablations.networks import architecture as data
from ablations.networks.activation import ActivationOrder
from ablations.networks.shortcut import Shortcut

FUNCTIONS = {"relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish}


class Activation(nn.Module):
    """BN and the activation function, in any sequence."""

    def __init__(self, sequence: Sequence[str], channels: int, function: str):
        super().__init__()
        self.sequence, self.function = tuple(sequence), FUNCTIONS[function]
        if "bn" in sequence:
            self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        for kind in self.sequence:
            x = self.bn(x) if kind == "bn" else self.function(x)
        return x


class Excitation(nn.Module):
    """Squeeze-and-excitation of MobileNet v3: ReLU between the linear layers, a hard sigmoid at the end."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.squeeze, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x):
        return x * F.hardsigmoid(self.expand(F.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]


class Drop(nn.Module):
    """Dropout, whose rate is a number in the weights file."""

    def __init__(self, rate: float):
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate))
        self.probability = rate

    def forward(self, x):
        return F.dropout(x, self.probability, self.training)


class LocalResponse(nn.Module):
    """Krizhevsky et al. 2012, Sec. 3.3; PyTorch divides alpha by the number of neighbours."""

    def forward(self, x):
        return F.local_response_norm(x, size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


class Rows(nn.Module):
    """The rows of an architecture, one after another.

    between, after: what follows each convolution, and the last one. outside: what stands in the place of `Activate`.
    """

    def __init__(self, rows: Sequence[data.Row], channels: int, function: str, *, between, after, outside):
        super().__init__()
        self.convolutions, self.activations, self.extras = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.steps: list[nn.Module] = []  # all modules in the order of the computation; their names are those above
        weighted = [i for i, row in enumerate(rows) if isinstance(row, data.Layer | data.Parallel)]
        for i, row in enumerate(rows):
            follow = after if i in weighted[-1:] else between
            if isinstance(row, data.Pool):
                self.steps.append(pool(row))
            elif isinstance(row, data.Cells):
                self.steps.append(nn.AdaptiveAvgPool2d(row.side))
            elif isinstance(row, data.Bilinear):
                self.steps.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
            elif isinstance(row, data.LocalResponse):
                self.steps.append(LocalResponse())
            elif isinstance(row, data.Layer):
                self.convolutions.append(convolution(row, channels))
                self.activations.append(Activation(follow if row.activated else (), row.filters, function))
                self.steps += [self.convolutions[-1], self.activations[-1]]
                if row.excite:
                    self._add_extra(Excitation(row.filters, row.excite))
            elif isinstance(row, data.Parallel):
                places = {"between": between, "after": follow, "outside": outside}
                self._add_extra(Branches([Rows(branch, channels, function, **places) for branch in row.branches]))
            elif isinstance(row, data.Up):
                self._add_extra(nn.ConvTranspose2d(channels, row.filters, 2, 2, bias=row.bias))
            else:
                self._add_extra(Activation(outside, channels, function) if row == data.Activate() else Drop(row.rate))
            channels = data.filters([row], channels)

    def _add_extra(self, module: nn.Module) -> None:
        self.extras.append(module)
        self.steps.append(module)

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


class Branches(nn.Module):
    """Rows side by side, whose outputs are concatenated."""

    def __init__(self, branches: list[Rows]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def convolution(layer: data.Layer, channels: int) -> nn.Conv2d:
    pad = layer.kernel // 2 if layer.pad is None else layer.pad
    sizes = {"stride": layer.stride, "padding": pad, "groups": layer.groups, "bias": layer.bias}
    return nn.Conv2d(channels, layer.filters, layer.kernel, **sizes)


def pool(row: data.Pool) -> nn.Module:
    kind = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[row.kind]
    return kind(row.kernel, row.stride, (row.kernel - 1) // 2 if row.pad is None else row.pad, ceil_mode=row.ceil)


class Projection(nn.Module):
    """A convolution that changes the shape of x, followed by BN if F ends with BN: option B."""

    def __init__(self, channels: int, filters: int, stride: int, *, kernel: int, bias: bool, bn: bool):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=bias)
        self.bn = nn.BatchNorm2d(filters) if bn else nn.Identity()

    def forward(self, x):
        return self.bn(self.conv(x))


class ZeroPadding(nn.Module):
    """Every stride-th pixel, and channels of zeros at the end, or as many on both sides: option A."""

    def __init__(self, channels: int, filters: int, stride: int, *, padding: str):
        super().__init__()
        first = {"end": 0, "both": (filters - channels) // 2}[padding]
        self.stride, self.zeros = stride, (first, filters - channels - first)

    def forward(self, x):
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.zeros)) if any(self.zeros) else x


class Unit(Rows):
    """x' = f(h(x) + F(x)), f([h(x), F(x)]), or f(F(x)) where no shortcut stands.

    read: the channels of the earlier output that the shortcut reads; the unit's input is then a pair of that and x.
    """

    def __init__(self, unit: data.Unit, channels: int, read: int | None, order: ActivationOrder, shortcut: Shortcut):
        order = order if unit.activated else ActivationOrder("none", [], [], [], [])
        places = {"between": order.between, "after": order.after, "outside": order.outside}
        super().__init__(unit.branch, channels, unit.function, **places)
        self.before = Activation(order.before if unit.before else [], channels, unit.function)
        changes, made = unit.changes(channels), data.filters(unit.branch, channels)
        carried, total = channels if read is None else read, unit.filters(channels, read)
        self.long, self.reads_activated = bool(unit.reads), changes and unit.reads_activated
        self.shortcut = nn.ModuleDict()
        plain = shortcut.name == "none" and (shortcut.at_dimension_change or not changes)
        if not plain and unit.stands != "never" and not (unit.stands == "equal" and changes):
            stride = 1 if unit.reads else int(data.stride(unit.branch))
            kernel, differs = unit.match.projection_kernel, (carried, stride) != (total, 1)
            # [x, 0] + [0, F] is a concatenation if the zeros come last.
            self.concatenates = unit.join == "concatenate" and not kernel and unit.match.padding == "end"
            if kernel and differs:
                design = {"kernel": kernel, "bias": unit.match.bias, "bn": "bn" in order.after}
                self.shortcut["h"] = Projection(carried, total, stride, **design)
            else:
                wide = carried if self.concatenates else total
                self.shortcut["h"] = ZeroPadding(carried, wide, stride, padding=unit.match.padding)
        else:
            self.concatenates = False
        self.zeros = 0 if self.concatenates else total - made
        self.after_addition = Activation(order.after_addition, total, unit.function)

    def forward(self, x):
        carried, x = x if self.long else (x, x)
        activated = self.before(x)
        fx = super().forward(activated)
        if self.zeros:
            fx = F.pad(fx, (0, 0, 0, 0, self.zeros, 0))
        if self.shortcut:
            if self.long:  # of a network without padding, whose maps shrink
                top, left = ((large - small) // 2 for large, small in zip(carried.shape[2:], fx.shape[2:], strict=True))
                carried = carried[:, :, top : top + fx.shape[2], left : left + fx.shape[3]]
            h = self.shortcut["h"](activated if self.reads_activated else carried)
            fx = torch.cat([h, fx], 1) if self.concatenates else h + fx
        return self.after_addition(fx)


class Stage(nn.Module):
    def __init__(self, units: list[Unit]):
        super().__init__()
        self.units = nn.ModuleList(units)


class Classifier(nn.Module):
    """Means over the cells of a map, and linear layers: (N, C, H, W) -> (N, classes), of pixels (N, H, W, classes)."""

    def __init__(self, head: data.Head, channels: int, classes: int, function: str):
        super().__init__()
        self.cells, self.pixels, self.function = head.cells, head.pixels, FUNCTIONS[function]
        sizes = (channels * (1 if head.pixels else head.cells**2), *head.hidden, classes)
        *hidden, self.head = [nn.Linear(*size) for size in zip(sizes, sizes[1:], strict=False)]
        self.hidden = nn.ModuleList(hidden)
        rates = [*head.dropouts, *[0.0] * (len(sizes) - 1 - len(head.dropouts))]
        self.dropouts = nn.ModuleList([Drop(rate) if rate else nn.Identity() for rate in rates])

    def classify(self, x):
        x = x.permute(0, 2, 3, 1) if self.pixels else self._mean_of_cells(x)
        for dropout, layer in zip(self.dropouts, [*self.hidden, None], strict=True):
            x = dropout(x)
            x = x if layer is None else self.function(layer(x))
        return self.head(x)

    def _mean_of_cells(self, x):
        return x.mean((2, 3)) if self.cells == 1 else F.adaptive_avg_pool2d(x, self.cells).flatten(1)


class Auxiliary(Classifier):
    """Rows, then a classifier."""

    def __init__(self, auxiliary: data.Auxiliary, channels: int, classes: int, function: str, **outside):
        super().__init__(auxiliary.head, data.filters(auxiliary.rows, channels), classes, function)
        self.reads, self.rows = auxiliary.reads, Rows(auxiliary.rows, channels, function, **outside)

    def forward(self, x):
        return self.classify(self.rows(x))


class Network(Classifier):
    """Normalised images (N, C, H, W) -> logits (N, classes), or (N, H', W', classes) if it classifies pixels.

    shortcut: the settings of the identity, or of none. Raises ValueError for another one.
    """

    def __init__(
        self,
        architecture: data.Architecture,
        order: ActivationOrder,
        shortcut: Shortcut,
        *,
        classes: int,
        image_channels: int,
    ):
        if shortcut.name not in ("identity", "none"):
            raise ValueError(f"shortcut={shortcut.name}: in PyTorch there are identity and none")
        stem, function, channels = architecture.stem, architecture.function, architecture.stacks[-1].filters
        super().__init__(architecture.head, data.filters(architecture.exit, channels), classes, function)
        outside = {"between": order.outside, "after": order.outside, "outside": order.outside}
        self.stem = convolution(stem, image_channels)
        self.stem_activation = Activation(order.outside if stem.activated else [], stem.filters, function)
        self.entries, self.stages = nn.ModuleList(), nn.ModuleList()
        self.reads, self.names, channels = [], [], stem.filters
        for stack in architecture.stacks:
            self.entries.append(Rows(stack.entry, channels, function, **outside))
            units, channels = [], stack.channels
            for i, unit in enumerate(stack.units):
                units.append(Unit(unit, channels, None if i else stack.reads, order, shortcut))
                channels = stack.filters
            self.stages.append(Stage(units))
            self.reads.append(stack.units[0].reads)
            self.names.append(stack.stage)
        last = order.before if architecture.last_activation else []
        self.head_activation = Activation(last, channels, function)
        self.exit = Rows(architecture.exit, channels, function, **outside)
        self.auxiliary = nn.ModuleList(
            [
                Auxiliary(each, architecture.made_by(each.reads), classes, function, **outside)
                for each in architecture.auxiliary
            ]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.eps = architecture.bn_epsilon

    @property
    def units(self) -> list[Unit]:
        return [unit for stage in self.stages for unit in stage.units]

    def forward(self, images):
        return self.classify(self.walk(images)[0])

    def with_auxiliary(self, images):
        """The logits, and a list of those of the auxiliary classifiers."""
        x, outputs = self.walk(images)
        return self.classify(x), [each(outputs[each.reads]) for each in self.auxiliary]

    def classify(self, x):
        return super().classify(self.exit(self.head_activation(x)))

    def walk(self, images):
        """The output of the last unit, and those of the stages by their names."""
        x, outputs = self.stem_activation(self.stem(images)), {}
        for entry, stage, reads, name in zip(self.entries, self.stages, self.reads, self.names, strict=True):
            x = entry(x)
            x = (outputs[reads], x) if reads else x
            for unit in stage.units:
                x = unit(x)
            outputs[name] = x
        return x, outputs


def load(network: Network, tensors: dict[str, torch.Tensor]) -> None:
    """Fill a network from an exported file; RuntimeError if a tensor is missing or left over."""
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("normalization.")}
    counts = {name: torch.zeros(()) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    network.load_state_dict(weights | counts, strict=True)
