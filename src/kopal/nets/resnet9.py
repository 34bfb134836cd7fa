"""ResNet-9: the residual net that trains in minutes on photos of 32 x 32, for when a day on a GPU is not at hand.

The shape is David Page's from the DAWNBench races (https://github.com/davidcpage/cifar10-fast): four stages of one
convolution, three of them halving the sides by max-pooling, and a residual pair after the second and the fourth. He
starts with 64 channels; here it is 32, a quarter of the work, which two CPU cores do in seconds an epoch. The norm
comes before the pooling: the other way round a step takes 0.88 of the time, but what 14 minutes make of CIFAR-10 is no
better.
"""

from __future__ import annotations

from kopal.nets.layers import (
    Activation,
    BatchNorm,
    Chain,
    Conv,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Normalize,
    Residual,
    around,
    chain,
)
from kopal.nets.net import Net


def resnet9(width: int, classes: int = 10, image: tuple[int, int, int] = (32, 32, 3)) -> Net:
    """Pixels (H, W, C), 8 x 8 or larger → K scores; `width` channels in the first stage, eight times as many last."""
    layers: list[tuple[str, Layer]] = [
        ("normalize", Normalize((0.5,), (0.5,))),
        ("stage1", _conv(width)),
        ("stage2", chain(down=_down(2 * width), residual=_pair(2 * width))),
        ("stage3", chain(down=_down(4 * width))),
        ("stage4", chain(down=_down(8 * width), residual=_pair(8 * width))),
        ("pool", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("head", Linear(classes)),
    ]
    return Net("resnet9", image, Chain(tuple(layers)))


def _conv(out: int) -> Chain:
    return chain(conv=Conv(out, (3, 3), padding=around(1), bias=False), norm=BatchNorm(), relu=Activation("relu"))


def _down(out: int) -> Chain:
    """A convolution, and half the height and width."""
    return Chain((*_conv(out).layers, ("pool", MaxPool((2, 2), (2, 2)))))


def _pair(out: int) -> Residual:
    return Residual(Chain((("1", _conv(out)), ("2", _conv(out)))))
