"""AlexNet; Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks"."""

from dataclasses import dataclass

from ablations.networks.architecture import Architecture, Head, Layer, LocalResponse, Pool, Stage, Unit
from ablations.networks.family import ModelConfig, legal


@dataclass(kw_only=True)
class AlexNet(ModelConfig):
    """Five convolutions and three linear layers, with biases and ReLU and without BN. Published without shortcuts; one
    can stand on the one convolution that keeps the shape, so this is a baseline, not a deep network.

    form: "paper", for 227x227 pixels: groups of two GPUs, local response normalisation, dropout after the hidden
        layers. "owt", for 224x224: the later one of Krizhevsky 2014 ("One weird trick"), as in torchvision, with dropout
        before the hidden layers. "cifar", for 32x32: of bearpaw's pytorch-classification, with a linear head.
    """

    family: str = "alexnet"
    form: str = "paper"

    def __post_init__(self):
        legal(self, form=("paper", "owt", "cifar"))
        super().__post_init__()

    def architecture(self) -> Architecture:
        def unit(filters: int, kernel: int = 3, groups: int = 1) -> Unit:
            return Unit((Layer(filters, kernel, groups=groups, bias=True),), stands="equal")

        pool = Pool("max", 2, 2) if self.form == "cifar" else Pool("max", 3, 2, pad=0)
        if self.form == "paper":
            lead = (LocalResponse(), pool)
            stem = Layer(96, 11, 4, pad=0, bias=True)
            stages = (
                Stage((unit(256, 5, 2),), lead),
                Stage((unit(384), unit(384, groups=2), unit(256, groups=2)), lead),
            )
            return Architecture(stem, stages, (pool,), Head(6, (4096, 4096), (0.0, 0.5, 0.5)))
        stem = Layer(64, 11, 4, pad=5 if self.form == "cifar" else 2, bias=True)
        stages = Stage((unit(192, 5),), (pool,)), Stage((unit(384), unit(256), unit(256)), (pool,))
        head = Head() if self.form == "cifar" else Head(6, (4096, 4096), (0.5, 0.5))
        return Architecture(stem, stages, (pool,), head)
