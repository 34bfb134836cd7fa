"""ResNet (arXiv:1512.03385): blocks that learn the difference F(x) = H(x) - x, and add x back.

A block whose output has another shape than its input adds a projection of x instead: a 1x1 convolution with the
block's stride. The bottleneck strides in its 3x3 convolution, as torchvision and the field do ("v1.5",
https://github.com/facebookarchive/fb.resnet.torch); the paper strides in the first 1x1.
"""

from __future__ import annotations

from kopal.nets.layers import (
    IMAGENET,
    Activation,
    BatchNorm,
    Chain,
    Conv,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Residual,
    around,
    chain,
)
from kopal.nets.net import Net

# The paper's table 1: blocks in conv2_x to conv5_x, and whether a block is a bottleneck.
BLOCKS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
WIDTHS = (64, 128, 256, 512)
RELU = Activation("relu")


def resnet(name: str, classes: int = 1000, side: int = 224) -> Net:
    """A ResNet by name: "resnet18", "resnet34", "resnet50", "resnet101" or "resnet152"."""
    blocks, bottleneck = BLOCKS[name]
    layers: list[tuple[str, Layer]] = [
        ("normalize", IMAGENET),
        ("conv1", chain(conv=conv(64, 7, 2), norm=BatchNorm(), relu=RELU)),
        ("pool1", MaxPool((3, 3), (2, 2), around(1))),
    ]
    channels = 64
    for number, (repeats, width) in enumerate(zip(blocks, WIDTHS, strict=True), start=2):
        out = 4 * width if bottleneck else width
        group: list[tuple[str, Layer]] = []
        for index in range(1, repeats + 1):
            stride = 2 if index == 1 and number > 2 else 1
            body = _bottleneck(width, out, stride) if bottleneck else basic(out, stride)
            shortcut = None if stride == 1 and channels == out else chain(conv=conv(out, 1, stride), norm=BatchNorm())
            group.append((str(index), chain(residual=Residual(body, shortcut), relu=RELU)))
            channels = out
        layers.append((f"conv{number}", Chain(tuple(group))))
    layers += [("pool", GlobalAvgPool()), ("flatten", Flatten()), ("head", Linear(classes))]
    return Net(name, (side, side, 3), Chain(tuple(layers)))


def basic(out: int, stride: int) -> Chain:
    """Two 3x3 convolutions: the paper's figure 5, left."""
    return chain(
        conv1=conv(out, 3, stride),
        norm1=BatchNorm(),
        relu1=RELU,
        conv2=conv(out, 3),
        norm2=BatchNorm(),
    )


def _bottleneck(width: int, out: int, stride: int) -> Chain:
    """Narrow, filter, widen: the paper's figure 5, right."""
    return chain(
        conv1=conv(width, 1),
        norm1=BatchNorm(),
        relu1=RELU,
        conv2=conv(width, 3, stride),
        norm2=BatchNorm(),
        relu2=RELU,
        conv3=conv(out, 1),
        norm3=BatchNorm(),
    )


def conv(out: int, kernel: int, stride: int = 1) -> Conv:
    """A convolution without a bias, which the batch norm after it would take off again."""
    return Conv(out, (kernel, kernel), (stride, stride), around(kernel // 2), bias=False)
