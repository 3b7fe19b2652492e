"""The project's families of networks, one class each."""

from ablations.networks.families.resnet import ResNet

__all__ = ["ResNet"]
