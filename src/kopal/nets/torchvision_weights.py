"""torchvision's published ImageNet weights as literals: which file, its hash, how it sees a photo, how good, whose.

Where there are several, the first version: the second ones are trained with label smoothing and mixing of photos, which
raise the accuracy on ImageNet and make poorer features (arXiv:1805.08974). A test holds every literal to torchvision's
own.
"""

from __future__ import annotations

from dataclasses import dataclass

from kopal.images import Geometry
from kopal.nets.layers import IMAGENET, Normalize

_SITE = "https://download.pytorch.org/models/"
_RECIPES = "https://github.com/pytorch/vision/tree/main/references/classification#"


@dataclass(frozen=True)
class Downloadable:
    """A weights file to fetch once. The end of its name is the start of its sha256, in hexadecimal.

    `geometry` keeps the whole centre square, as for the embedded nets; the publishers scale the short side to `resize`
    pixels first and cut the same square out of that. `normalize` is what the weights want their pixels brought to.
    `top1` and `top5` are the published shares on ImageNet. `source` describes the training; the licence is that of the
    code the file came with: ImageNet's own terms may bind as well.
    """

    file: str
    megabytes: float
    geometry: Geometry
    resize: int
    top1: float
    top5: float
    source: str
    licence: str = "BSD-3-Clause"
    normalize: Normalize = IMAGENET

    @property
    def url(self) -> str:
        """Where the file is."""
        return _SITE + self.file

    @property
    def hash_prefix(self) -> str:
        """The first hexadecimal digits of the file's sha256."""
        return self.file.rpartition("-")[2].removesuffix(".pth")


def _entry(
    file: str,
    megabytes: float,
    sides: tuple[int, int],
    accuracy: tuple[float, float],
    recipe: str,
    resampling: str = "bilinear",
    normalize: Normalize = IMAGENET,
) -> Downloadable:
    resize, side = sides
    # The EfficientNets were carried over from timm (B0 to B4) and EfficientNet-PyTorch (B5 to B7).
    licence = "Apache-2.0" if recipe == "efficientnet-v1" else "BSD-3-Clause"
    geometry = Geometry(side, side, filter=resampling)
    return Downloadable(file, megabytes, geometry, resize, *accuracy, _RECIPES + recipe, licence, normalize)


# GoogLeNet's and Inception-v3's published normalisation is undone inside torchvision's modules (`transform_input`).
_AROUND_ZERO = Normalize((0.5,), (0.5,))

DOWNLOADABLE = {
    "alexnet": _entry("alexnet-owt-7be5be79.pth", 233.087, (256, 224), (0.56522, 0.79066), "alexnet-and-vgg"),
    "vgg11": _entry("vgg11-8a719046.pth", 506.84, (256, 224), (0.6902, 0.88628), "alexnet-and-vgg"),
    "vgg13": _entry("vgg13-19584684.pth", 507.545, (256, 224), (0.69928, 0.89246), "alexnet-and-vgg"),
    "vgg16": _entry("vgg16-397923af.pth", 527.796, (256, 224), (0.71592, 0.90382), "alexnet-and-vgg"),
    "vgg19": _entry("vgg19-dcbb9e9d.pth", 548.051, (256, 224), (0.72376, 0.90876), "alexnet-and-vgg"),
    "googlenet": _entry(
        "googlenet-1378be20.pth", 49.731, (256, 224), (0.69778, 0.8953), "googlenet", normalize=_AROUND_ZERO
    ),
    "inception-v3": _entry(
        "inception_v3_google-0cc3c7bd.pth",
        103.903,
        (342, 299),
        (0.77294, 0.9345),
        "inception-v3",
        normalize=_AROUND_ZERO,
    ),
    "resnet18": _entry("resnet18-f37072fd.pth", 44.661, (256, 224), (0.69758, 0.89078), "resnet"),
    "resnet34": _entry("resnet34-b627a593.pth", 83.275, (256, 224), (0.73314, 0.9142), "resnet"),
    "resnet50": _entry("resnet50-0676ba61.pth", 97.781, (256, 224), (0.7613, 0.92862), "resnet"),
    "resnet101": _entry("resnet101-63fe2227.pth", 170.511, (256, 224), (0.77374, 0.93546), "resnet"),
    "resnet152": _entry("resnet152-394f9c45.pth", 230.434, (256, 224), (0.78312, 0.94046), "resnet"),
    "efficientnet-b0": _entry(
        "efficientnet_b0_rwightman-7f5810bc.pth", 20.451, (256, 224), (0.77692, 0.93532), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b1": _entry(
        "efficientnet_b1_rwightman-bac287d4.pth", 30.134, (256, 240), (0.78642, 0.94186), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b2": _entry(
        "efficientnet_b2_rwightman-c35c1473.pth", 35.174, (288, 288), (0.80608, 0.9531), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b3": _entry(
        "efficientnet_b3_rwightman-b3899882.pth", 47.184, (320, 300), (0.82008, 0.96054), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b4": _entry(
        "efficientnet_b4_rwightman-23ab8bcd.pth", 74.489, (384, 380), (0.83384, 0.96594), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b5": _entry(
        "efficientnet_b5_lukemelas-1a07897c.pth", 116.864, (456, 456), (0.83444, 0.96628), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b6": _entry(
        "efficientnet_b6_lukemelas-24a108a5.pth", 165.362, (528, 528), (0.84008, 0.96916), "efficientnet-v1", "bicubic"
    ),
    "efficientnet-b7": _entry(
        "efficientnet_b7_lukemelas-c5b4e57e.pth", 254.675, (600, 600), (0.84122, 0.96908), "efficientnet-v1", "bicubic"
    ),
}
