"""Every architecture by name: one line each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from kopal.errors import UsageError
from kopal.nets.alexnet import alexnet, alexnet_2012, alexnet_one_tower
from kopal.nets.describe import describe
from kopal.nets.efficientnet import LITE, B, efficientnet, efficientnet_lite
from kopal.nets.garment import garment
from kopal.nets.googlenet import googlenet
from kopal.nets.inception import inception_v3
from kopal.nets.lenet import lenet5
from kopal.nets.linear import linear
from kopal.nets.mlp import mlp
from kopal.nets.net import Net
from kopal.nets.resnet import BLOCKS, resnet
from kopal.nets.resnet9 import resnet9
from kopal.nets.resnet_cifar import DEPTHS, resnet_cifar
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
    **{name: Small(partial(resnet_cifar, name), (32, 32, 3)) for name in DEPTHS},
    "alexnet-2012": ForImageNet(alexnet_2012),
    "alexnet-one-tower": ForImageNet(alexnet_one_tower),
    "alexnet": ForImageNet(alexnet),
    **{name: ForImageNet(partial(vgg, name)) for name in GROUPS},
    "googlenet": ForImageNet(googlenet),
    "inception-v3": ForImageNet(inception_v3, 299),
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
        near = get_close_matches(name, NAMES, cutoff=0.5)
        raise UsageError(
            f"unknown net {name!r}",
            f"one of: {', '.join(NAMES)}",
            f"did you mean {' or '.join(near)}?" if near else "kopal nets lists them",
        )
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
        smallest = smallest_side(net.name, net.image[2])
        raise UsageError(
            f"net {net.name} cannot take images of {_words(net.image)} pixels: {error.happened}",
            f"{smallest} x {smallest} pixels or more" if smallest else "larger images, or a net for small ones",
            f"--image-size {smallest}, or a net for small images" if smallest else "kopal nets lists them",
        ) from None


def smallest_side(name: str, channels: int = 3) -> int:
    """The smallest side that the net of that name takes, or 0 where its own usual one does not help."""
    entry = _NETS[name]
    usual = entry.image[0] if isinstance(entry, Small) else entry.side

    def fits(side: int) -> bool:
        try:
            describe(entry.build(None, (side, side, channels)))
        except UsageError:
            return False
        return True

    sides = range(1, usual + 1)
    return sides[bisect_left(sides, True, key=fits)] if fits(usual) else 0


def _words(image: Image) -> str:
    return " x ".join(map(str, image))
