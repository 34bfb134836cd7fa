"""Every architecture by name: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kopal.errors import UsageError
from kopal.nets.alexnet import alexnet, alexnet_2012, alexnet_one_tower
from kopal.nets.describe import describe
from kopal.nets.efficientnet import LITE, B, efficientnet, efficientnet_lite
from kopal.nets.garment import garment
from kopal.nets.googlenet import googlenet
from kopal.nets.lenet import lenet5
from kopal.nets.linear import linear
from kopal.nets.mlp import mlp
from kopal.nets.net import Net
from kopal.nets.resnet import BLOCKS, resnet
from kopal.nets.resnet9 import resnet9
from kopal.nets.vgg import GROUPS, vgg

Image = tuple[int, int, int]


@dataclass(frozen=True)
class Small:
    """A net for small pictures of any depth: built from the number of classes and the image (H, W, C)."""

    make: Callable[[int, Image], Net]
    image: Image
    classes: int = 10

    def build(self, classes: int | None, image: Image | None) -> Net:
        """The net for these classes and this image, or for the published ones."""
        return self.make(classes or self.classes, image or self.image)


@dataclass(frozen=True)
class ForImageNet:
    """A net for square colour photos: built from the number of classes and the side."""

    make: Callable[[int, int], Net]
    side: int = 224
    classes: int = 1000

    def build(self, classes: int | None, image: Image | None) -> Net:
        """The net for these classes and this image, or for the published ones."""
        if image and (image[0] != image[1] or image[2] != 3):
            raise UsageError(f"an image of {_words(image)} pixels", "as high as it is wide, with three colours")
        return self.make(classes or self.classes, image[0] if image else self.side)


_NETS: dict[str, Small | ForImageNet] = {
    "linear": Small(linear, (32, 32, 3)),
    "mlp": Small(partial(mlp, (256, 128)), (28, 28, 1)),
    "lenet5": Small(lenet5, (32, 32, 1)),
    "garment": Small(garment, (28, 28, 1)),
    "resnet9": Small(partial(resnet9, 32), (32, 32, 3)),
    "alexnet-2012": ForImageNet(alexnet_2012),
    "alexnet-one-tower": ForImageNet(alexnet_one_tower),
    "alexnet": ForImageNet(alexnet),
    **{name: ForImageNet(partial(vgg, name)) for name in GROUPS},
    "googlenet": ForImageNet(googlenet),
    **{name: ForImageNet(partial(resnet, name)) for name in BLOCKS},
    **{name: ForImageNet(partial(efficientnet_lite, name), scale.resolution) for name, scale in LITE.items()},
    **{name: ForImageNet(partial(efficientnet, name), scale.resolution) for name, scale in B.items()},
}

NAMES = tuple(_NETS)


def build(name: str, classes: int | None = None, image: Image | None = None) -> Net:
    """The net of that name, at its published size or for K classes and another image (H, W, C).

    Raises `UsageError` for an unknown name, and for an image that the net cannot take.
    """
    if name not in _NETS:
        raise UsageError(f"unknown net {name!r}", f"one of: {', '.join(NAMES)}", "kopal nets lists them")
    if classes is not None and classes < 1:
        raise UsageError(f"a net for {classes} classes", "at least one")
    net = _NETS[name].build(classes, image)
    if image:
        _check_fits(net)
    return net


def _check_fits(net: Net) -> None:
    try:
        describe(net)
    except UsageError as error:
        raise UsageError(
            f"net {net.name} cannot take images of {_words(net.image)} pixels: {error.happened}",
            "larger images, or a net for small ones",
            "kopal nets lists them with their image sizes",
        ) from None


def _words(image: Image) -> str:
    return " x ".join(map(str, image))
