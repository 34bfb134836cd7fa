"""The ResNets for small photos (arXiv:1512.03385, section 4.2): three groups of n blocks, 6n + 2 layers in all.

The paper trained them on CIFAR-10: 20 layers to 8.75 % error, 56 to 6.97 %. Where a block halves the sides and doubles
the channels, it pads x with zero channels; here a 1x1 convolution projects x, as in the paper's larger nets, which adds
about 3 000 parameters.
"""

from __future__ import annotations

from kopal.nets.layers import BatchNorm, Chain, Flatten, GlobalAvgPool, Layer, Linear, Normalize, Residual, chain
from kopal.nets.net import Net
from kopal.nets.resnet import RELU, basic, conv

DEPTHS = {"resnet20": (3, 16), "resnet32": (5, 16), "resnet44": (7, 16), "resnet56": (9, 16), "resnet20-slim": (3, 8)}
"""n, and the channels of the first group: 16 in the paper, 8 in the slim one, for less than 100 000 parameters."""


def resnet_cifar(name: str, classes: int = 10, image: tuple[int, int, int] = (32, 32, 3)) -> Net:
    """Pixels (H, W, C) → K scores, by a net of `DEPTHS`."""
    blocks, channels = DEPTHS[name]
    layers: list[tuple[str, Layer]] = [
        ("normalize", Normalize((0.5,), (0.5,))),
        ("conv1", chain(conv=conv(channels, 3), norm=BatchNorm(), relu=RELU)),
    ]
    for number in range(3):
        group: list[tuple[str, Layer]] = []
        for index in range(1, blocks + 1):
            widens = number > 0 and index == 1
            out, stride = channels * 2**number, 2 if widens else 1
            shortcut = chain(conv=conv(out, 1, 2), norm=BatchNorm()) if widens else None
            group.append((str(index), chain(residual=Residual(basic(out, stride), shortcut), relu=RELU)))
        layers.append((f"conv{number + 2}", Chain(tuple(group))))
    layers += [("pool", GlobalAvgPool()), ("flatten", Flatten()), ("head", Linear(classes))]
    return Net(name, image, Chain(tuple(layers)))
