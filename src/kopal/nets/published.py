"""What the publishers of each net measured on ImageNet (ILSVRC-2012 validation, one crop unless said otherwise)."""

from __future__ import annotations

from dataclasses import dataclass

from kopal.nets.torchvision_weights import DOWNLOADABLE
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
    **{name: Published(entry.top1, entry.top5, TORCHVISION) for name, entry in DOWNLOADABLE.items()},
    "efficientnet-lite0": Published(PRETRAINED["efficientnet-lite0"].top1, None, LITE),
    "efficientnet-lite1": Published(PRETRAINED["efficientnet-lite1"].top1, None, LITE),
    "efficientnet-lite2": Published(PRETRAINED["efficientnet-lite2"].top1, None, LITE),
    "efficientnet-lite3": Published(0.798, None, LITE),
    "efficientnet-lite4": Published(0.815, None, LITE),
}
