"""The project's families of networks, one class each."""

from ablations.networks.families.alexnet import AlexNet
from ablations.networks.families.densenet import DenseNet
from ablations.networks.families.googlenet import GoogLeNet
from ablations.networks.families.mobilenet_v1 import MobileNetV1
from ablations.networks.families.mobilenet_v2 import MobileNetV2
from ablations.networks.families.mobilenet_v3 import MobileNetV3
from ablations.networks.families.resnet import ResNet
from ablations.networks.families.resnext import ResNeXt
from ablations.networks.families.unet import UNet
from ablations.networks.families.vgg import VGG
from ablations.networks.families.wide_resnet import WideResNet
from ablations.networks.families.xception import Xception

__all__ = [
    "AlexNet",
    "DenseNet",
    "GoogLeNet",
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3",
    "ResNeXt",
    "ResNet",
    "UNet",
    "VGG",
    "WideResNet",
    "Xception",
]
