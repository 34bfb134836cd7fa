"""VGG (arXiv:1409.1556): five groups of 3x3 convolutions, a 2x2 max-pool after each, then 4096-4096-1000.

Two 3x3 convolutions see what one of 5x5 sees, three what one of 7x7 sees, with fewer parameters and more bends.
"""

from __future__ import annotations

from kopal.nets.layers import IMAGENET, Activation, Chain, Conv, Dropout, Flatten, Layer, Linear, MaxPool, around
from kopal.nets.net import Net

# The paper's table 1: columns A, B, D and E. Convolutions per group; channels of the five groups.
GROUPS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
CHANNELS = (64, 128, 256, 512, 512)


def vgg(name: str, classes: int = 1000, side: int = 224) -> Net:
    """A VGG by name: "vgg11", "vgg13", "vgg16" or "vgg19"."""
    layers: list[tuple[str, Layer]] = [("normalize", IMAGENET)]
    for group, (convolutions, channels) in enumerate(zip(GROUPS[name], CHANNELS, strict=True), start=1):
        for number in range(1, convolutions + 1):
            layers.append((f"conv{group}_{number}", Conv(channels, (3, 3), padding=around(1))))
            layers.append((f"relu{group}_{number}", Activation("relu")))
        layers.append((f"pool{group}", MaxPool((2, 2), (2, 2))))
    layers += [
        ("flatten", Flatten()),
        ("fc6", Linear(4096)),
        ("relu6", Activation("relu")),
        ("dropout6", Dropout(0.5)),
        ("fc7", Linear(4096)),
        ("relu7", Activation("relu")),
        ("dropout7", Dropout(0.5)),
        ("head", Linear(classes)),
    ]
    return Net(name, (side, side, 3), Chain(tuple(layers)))
