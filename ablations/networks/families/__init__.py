"""The project's families of networks, one class each."""

from ablations.networks.families.resnet import ResNet
from ablations.networks.families.unet import UNet

__all__ = ["ResNet", "UNet"]
