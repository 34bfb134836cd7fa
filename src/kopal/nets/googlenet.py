"""GoogLeNet (arXiv:1409.4842): inception blocks look through windows of several sizes at once, side by side.

Built as torchvision builds it, so that its weights fit. torchvision differs from the paper: batch norm
(arXiv:1502.03167) after every convolution instead of local response normalisation after two of them; the branch that
the paper calls 5x5 is 3x3 here; the two auxiliary classifiers, which only help training, are left out; and its weights
want pixels in -1..1, whatever normalisation its published preprocessing names (`transform_input` undoes that).
"""

from __future__ import annotations

from kopal.nets.layers import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Normalize,
    around,
    chain,
)
from kopal.nets.net import Net

# The paper's table 1: 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOL_AFTER = {
    "3b": ("pool3", MaxPool((3, 3), (2, 2), ceil=True)),
    "4e": ("pool4", MaxPool((2, 2), (2, 2), ceil=True)),
}


def googlenet(classes: int = 1000, side: int = 224) -> Net:
    """GoogLeNet without its auxiliary classifiers: 6 624 904 parameters."""
    layers: list[tuple[str, Layer]] = [
        ("normalize", Normalize((0.5,), (0.5,))),
        ("conv1", _conv(64, 7, 2)),
        ("pool1", MaxPool((3, 3), (2, 2), ceil=True)),
        ("conv2", chain(reduce=_conv(64, 1), filter=_conv(192, 3))),
        ("pool2", MaxPool((3, 3), (2, 2), ceil=True)),
    ]
    for name, widths in INCEPTIONS.items():
        layers.append((f"inception{name}", _inception(*widths)))
        if name in POOL_AFTER:
            layers.append(POOL_AFTER[name])
    layers += [("pool", GlobalAvgPool()), ("flatten", Flatten()), ("dropout", Dropout(0.2)), ("head", Linear(classes))]
    return Net("googlenet", (side, side, 3), Chain(tuple(layers)))


def _inception(single: int, reduce3: int, out3: int, reduce5: int, out5: int, projection: int) -> Concat:
    """The paper's figure 2b: four branches, the large windows behind a 1x1 that makes them cheap."""
    return Concat(
        (
            ("branch1", _conv(single, 1)),
            ("branch2", chain(reduce=_conv(reduce3, 1), filter=_conv(out3, 3))),
            ("branch3", chain(reduce=_conv(reduce5, 1), filter=_conv(out5, 3))),
            ("branch4", chain(pool=MaxPool((3, 3), (1, 1), around(1)), project=_conv(projection, 1))),
        )
    )


def _conv(out: int, kernel: int, stride: int = 1) -> Chain:
    return chain(
        conv=Conv(out, (kernel, kernel), (stride, stride), around(kernel // 2), bias=False),
        norm=BatchNorm(epsilon=1e-3),
        relu=Activation("relu"),
    )
