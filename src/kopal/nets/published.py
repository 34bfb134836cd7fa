"""What the publishers of each net measured on ImageNet (ILSVRC-2012 validation, one crop unless said otherwise)."""

from __future__ import annotations

from dataclasses import dataclass

from kopal.nets.weights import PRETRAINED

_TORCHVISION = "https://docs.pytorch.org/vision/stable/models.html"
_LITE = PRETRAINED["efficientnet-lite0"].source
_ALEXNET = "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html"


@dataclass(frozen=True)
class Source:
    """Where figures come from: an address, and in words what they are for."""

    address: str
    what: str


@dataclass(frozen=True)
class Published:
    """Shares of photos whose class is the first guess, and among the first five (None: not published)."""

    top1: float
    top5: float | None
    source: Source


PAPER_2012 = Source(_ALEXNET, "AlexNet's paper, table 2: one net, mean of ten crops")
TORCHVISION = Source(_TORCHVISION, "torchvision, weights IMAGENET1K_V1")
LITE = Source(_LITE, "README of EfficientNet-Lite's publishers")

PUBLISHED = {
    "alexnet-2012": Published(0.593, 0.818, PAPER_2012),
    "alexnet": Published(0.56522, 0.79066, TORCHVISION),
    "vgg11": Published(0.69020, 0.88628, TORCHVISION),
    "vgg13": Published(0.69928, 0.89246, TORCHVISION),
    "vgg16": Published(0.71592, 0.90382, TORCHVISION),
    "vgg19": Published(0.72376, 0.90876, TORCHVISION),
    "googlenet": Published(0.69778, 0.89530, TORCHVISION),
    "resnet18": Published(0.69758, 0.89078, TORCHVISION),
    "resnet34": Published(0.73314, 0.91420, TORCHVISION),
    "resnet50": Published(0.76130, 0.92862, TORCHVISION),
    "resnet101": Published(0.77374, 0.93546, TORCHVISION),
    "resnet152": Published(0.78312, 0.94046, TORCHVISION),
    "efficientnet-lite0": Published(PRETRAINED["efficientnet-lite0"].top1, None, LITE),
    "efficientnet-lite1": Published(PRETRAINED["efficientnet-lite1"].top1, None, LITE),
    "efficientnet-lite2": Published(PRETRAINED["efficientnet-lite2"].top1, None, LITE),
    "efficientnet-lite3": Published(0.798, None, LITE),
    "efficientnet-lite4": Published(0.815, None, LITE),
    "efficientnet-b0": Published(0.77692, 0.93532, TORCHVISION),
    "efficientnet-b1": Published(0.78642, 0.94186, TORCHVISION),
    "efficientnet-b2": Published(0.80608, 0.95310, TORCHVISION),
    "efficientnet-b3": Published(0.82008, 0.96054, TORCHVISION),
    "efficientnet-b4": Published(0.83384, 0.96594, TORCHVISION),
    "efficientnet-b5": Published(0.83444, 0.96628, TORCHVISION),
    "efficientnet-b6": Published(0.84008, 0.96916, TORCHVISION),
    "efficientnet-b7": Published(0.84122, 0.96908, TORCHVISION),
}
