"""U-Net; Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".

Its shortcuts are the long skips, from each resolution on the way down to the same one on the way up; its pairs of
convolutions have none.
"""

from dataclasses import dataclass, field

from ablations.networks.architecture import JOINS, Architecture, Bilinear, Head, Layer, Pool, Stage, Unit, Up
from ablations.networks.family import ModelConfig, legal, unread

KERNEL = 3


@dataclass(kw_only=True)
class UNet(ModelConfig):
    """A U-Net: a class for every pixel.

    widths: the channels at each resolution, the finest first; pooling halves the resolution between two of them.
    join: how a long skip meets the up-sampled map: "concatenate" (the paper) or "add".
    padded: whether the 3x3 convolutions keep the size of a map. If not, as in the paper, the output is smaller than the
        image, and the mask's middle of that size counts.
    bias: whether the 3x3 convolutions have biases. up_bias: whether the up-convolutions have.
    up: "transposed" convolutions (the paper), or "bilinear" (milesial/Pytorch-UNet, as an option): since that has no weights,
        each pair of convolutions below it makes as many channels as the next finer resolution has.
    """

    family: str = "unet"
    widths: list[int] = field(default_factory=lambda: [64, 128, 256, 512, 1024])  # Fig. 1
    join: str = "concatenate"
    padded: bool = True
    bias: bool = False
    up_bias: bool = True
    up: str = "transposed"

    def __post_init__(self):
        legal(self, join=JOINS, up=("transposed", "bilinear"))
        if self.up == "bilinear":
            unread(self, "model.up=transposed", "up_bias")
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"model.widths={self.widths}: give two or more, each at least 1, as [16,32,64,128]")
        super().__post_init__()

    @property
    def poolings(self) -> int:
        return len(self.widths) - 1

    def architecture(self) -> Architecture:
        finest, *finer = self.widths[:-1]
        bilinear, coarsest = self.up == "bilinear", self.widths[-2 if self.up == "bilinear" else -1]
        stages = [Stage((Unit((self._convolution(finest),), stands="never", before=False),), name="down0")]
        for i, width in enumerate((*finer, coarsest), 1):
            stages.append(Stage((self._pair(width, width),), (Pool("max", 2, 2),), f"down{i}"))
        for i, width in reversed(list(enumerate(self.widths[:-1]))):
            row = Bilinear() if bilinear else Up(width, self.up_bias)
            up = Unit((row,), join=self.join, reads=f"down{i}", activated=False)
            made = self.widths[max(i - 1, 0)] if bilinear else width
            # Stages of their own, so that paths are the same however the two are joined.
            stages += [Stage((up,)), Stage((self._pair(width, made),))]
        return Architecture(
            self._convolution(finest), tuple(stages), head=Head(pixels=True), init="he_fan_in"
        )  # Sec. 3

    def refusal(self, side: int) -> str | None:
        """Why images of this side do not fit, and which sides do; None if they do."""
        if self._fits(side):
            return None
        below = next((str(fit) for fit in range(side - 1, 0, -1) if self._fits(fit)), "")
        above = next(str(fit) for fit in range(side + 1, side + 2 ** (2 * self.poolings + 6)) if self._fits(fit))
        return (
            f"{self.name} halves its maps {self.poolings} times, which images of {side} pixels do not allow; the nearest "
            f"sides that fit: {' and '.join(filter(None, [below, above]))}"
        )

    def _fits(self, side: int) -> bool:
        """Whether each pooling finds an even side, and each layer a map to see."""
        lost = 0 if self.padded else 2 * (KERNEL - 1)  # by a pair of convolutions
        map_side = side - lost
        for _ in range(self.poolings):
            if map_side % 2:
                return False
            map_side = map_side // 2 - lost
        return map_side > 0 and self.architecture().smallest_map(side) > 0

    def _pair(self, width: int, made: int) -> Unit:
        return Unit((self._convolution(width), self._convolution(made)), stands="never")

    def _convolution(self, width: int) -> Layer:
        return Layer(width, KERNEL, pad=None if self.padded else 0, bias=self.bias)
