"""How a network is trained: the schema of `conf/recipe/`. Steps count batches, as the paper does."""

from dataclasses import dataclass, field
from typing import Any

from ablations.setting import incidental


def refusal(batch_size: int, devices: int) -> str | None:
    """Why a batch cannot be spread over this number of devices, and which sizes can; None if it can."""
    left = batch_size % devices
    if not left:
        return None
    fitting = [str(size) for size in (batch_size - left, batch_size - left + devices) if size]
    return (
        f"recipe.batch_size={batch_size}: does not divide among {devices} devices; {' and '.join(fitting)} "
        f"{'do' if len(fitting) > 1 else 'does'}, as every multiple of {devices}"
    )


@dataclass
class RecipeConfig:
    """A training protocol.

    total_steps: it scales the schedule, whose warm-up and drops are fractions of it.
    scale_lr_from: the batch size for which learning_rate is meant; it is scaled in proportion to batch_size (Goyal et
        al. 2017). null: it holds for every batch size.
    warmup_fraction: the part of total_steps that trains at warmup_factor x learning_rate or, with warmup "linear",
        rises from there to learning_rate (Goyal et al. 2017).
    drop_fractions: the points at which the learning rate is multiplied by drop_factor (schedule "step").
    schedule: "step", or "cosine" down to 0, whose warm-up is always linear.
    weight_decay_on: "all" parameters, with biases, BN's and the trained numbers of shortcuts; only the kernels of
        "convolutions"; or of "unit_convolutions", which are those inside units.
    normalization: "per_pixel_mean" subtracts the mean image; "per_channel" subtracts each channel's mean and divides
        by its standard deviation. Both are taken over the training set, of pixels in [0, 1].
    bn_group: images that share BN statistics in training; null for the whole batch, "half" for half of it (the paper
        had two GPUs), "device" for a device's part of it. A record gives the number of images instead of a word.
    bn_statistics: what a test uses: the "running" averages, or the statistics of a pass over the training set after
        the last step ("exact").
    evaluate_every: steps between two evaluations; the last step is always evaluated.
    probe_every: steps between two probes of signal and gradient during training (`training.probe`), which include the
        start and the end; null for none. It changes no result, so a record does not contain it.
    """

    name: str
    batch_size: int
    total_steps: int
    learning_rate: float
    evaluate_every: int
    scale_lr_from: int | None = None
    schedule: str = "step"
    warmup: str = "constant"
    warmup_fraction: float = 0.0
    warmup_factor: float = 0.1
    drop_fractions: list[float] = field(default_factory=lambda: [0.5, 0.75])
    drop_factor: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    weight_decay_on: str = "all"
    normalization: str = "per_pixel_mean"
    label_smoothing: float = 0.0
    bn_momentum: float = 0.9
    bn_group: Any = None  # int, str or None: OmegaConf 2.3 fails to merge a union of types
    bn_statistics: str = "running"
    probe_every: int | None = incidental(None)

    def __post_init__(self):
        for name in ("batch_size", "total_steps", "evaluate_every"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"recipe.{name}={value}: must be at least 1")
        for name in ("probe_every", "scale_lr_from"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"recipe.{name}={value}: must be at least 1")
        for name in ("learning_rate", "weight_decay", "warmup_factor", "drop_factor"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"recipe.{name}={value}: must be a finite number of at least 0")
        for name in ("warmup_fraction", "momentum", "label_smoothing", "bn_momentum"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ValueError(f"recipe.{name}={value}: must be at least 0 and below 1")
        if any(not 0 < drop < 1 for drop in self.drop_fractions):
            raise ValueError(f"recipe.drop_fractions={self.drop_fractions}: must lie between 0 and 1")
        legal = {
            "schedule": ("step", "cosine"),
            "warmup": ("constant", "linear"),
            "weight_decay_on": ("all", "convolutions", "unit_convolutions"),
            "normalization": ("per_pixel_mean", "per_channel"),
            "bn_statistics": ("running", "exact"),
        }
        for name, values in legal.items():
            if (value := getattr(self, name)) not in values:
                raise ValueError(f"recipe.{name}={value}: legal are {', '.join(values)}")
        self._check_warmup()
        self._check_group()

    def _check_warmup(self) -> None:
        """Raise ValueError if the schedule has no value at one of its steps."""
        warmup = round(self.warmup_fraction * self.total_steps)
        if self.schedule == "cosine" and warmup >= self.total_steps:
            raise ValueError(
                f"recipe.warmup_fraction={self.warmup_fraction}: the warm-up takes all {self.total_steps} steps, and none "
                "is left for the cosine; choose a smaller part"
            )
        if self.schedule == "step" and self.warmup == "constant" and warmup and not self.warmup_factor:
            raise ValueError(
                "recipe.warmup_factor=0: a constant warm-up at a rate of 0 learns nothing; choose more than 0, "
                "recipe.warmup=linear, or recipe.warmup_fraction=0 for no warm-up"
            )

    def _check_group(self) -> None:
        """Resolve bn_group=half; raise ValueError if the groups do not divide the batch."""
        even = self.batch_size % 2 == 0
        if self.bn_group == "half" and even:
            self.bn_group = self.batch_size // 2
        group = 1 if self.bn_group in (None, "device") else self.bn_group
        if not isinstance(group, int) or isinstance(group, bool) or group < 1 or self.batch_size % group:
            raise ValueError(
                f"recipe.bn_group={self.bn_group}: must divide recipe.batch_size={self.batch_size}; "
                f"{', '.join(str(n) for n in range(1, self.batch_size + 1) if self.batch_size % n == 0)} do; "
                f"or {'half, ' * even}null for the whole batch, or device"
            )
