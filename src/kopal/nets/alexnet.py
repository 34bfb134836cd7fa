"""AlexNet, the net that won ImageNet in 2012, as the paper has it, as one tower, and as torchvision has it.

The paper (Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks") split
it over two graphics cards: convolutions 2, 4 and 5 see only the channels of their own card, which is a convolution in
two groups. One tower is the same net without that split. torchvision's is the narrower single stream of
arXiv:1404.5997, without normalisation.

The lecture's slide shows CONV-POOL-NORM; in the paper (section 3.5) the normalisation comes before the pooling, and a
last pool follows the fifth convolution.
"""

from __future__ import annotations

from kopal.nets.layers import (
    IMAGENET,
    Activation,
    Chain,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Padding,
    around,
    chain,
)
from kopal.nets.net import Net

RELU = Activation("relu")
POOL = MaxPool((3, 3), (2, 2))
# k, n, alpha and beta of section 3.3. The paper multiplies the sum by alpha, our leaf by alpha / size.
NORM = LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def alexnet_2012(classes: int = 1000, side: int = 224) -> Net:
    """The paper's net with its two groups: 60 965 224 parameters."""
    return Net("alexnet-2012", (side, side, 3), _paper(classes, side, groups=2))


def alexnet_one_tower(classes: int = 1000, side: int = 224) -> Net:
    """The paper's net with every convolution seeing all channels: 62 378 344 parameters."""
    return Net("alexnet-one-tower", (side, side, 3), _paper(classes, side, groups=1))


def alexnet(classes: int = 1000, side: int = 224) -> Net:
    """The single stream of torchvision: 61 100 840 parameters."""
    features = chain(
        normalize=IMAGENET,
        conv1=Conv(64, (11, 11), (4, 4), around(2)),
        relu1=RELU,
        pool1=POOL,
        conv2=Conv(192, (5, 5), padding=around(2)),
        relu2=RELU,
        pool2=POOL,
        conv3=Conv(384, (3, 3), padding=around(1)),
        relu3=RELU,
        conv4=Conv(256, (3, 3), padding=around(1)),
        relu4=RELU,
        conv5=Conv(256, (3, 3), padding=around(1)),
        relu5=RELU,
        pool5=POOL,
        flatten=Flatten(),
    )
    # Here the dropout stands before each layer, in the paper behind it.
    classifier: tuple[tuple[str, Layer], ...] = (
        ("dropout6", Dropout(0.5)),
        ("fc6", Linear(4096)),
        ("relu6", RELU),
        ("dropout7", Dropout(0.5)),
        ("fc7", Linear(4096)),
        ("relu7", RELU),
        ("head", Linear(classes)),
    )
    return Net("alexnet", (side, side, 3), Chain((*features.layers, *classifier)))


def _paper(classes: int, side: int, groups: int) -> Chain:
    return chain(
        normalize=IMAGENET,
        conv1=Conv(96, (11, 11), (4, 4), _whole_steps(side, 11, 4)),
        relu1=RELU,
        norm1=NORM,
        pool1=POOL,
        conv2=Conv(256, (5, 5), padding=around(2), groups=groups),
        relu2=RELU,
        norm2=NORM,
        pool2=POOL,
        conv3=Conv(384, (3, 3), padding=around(1)),
        relu3=RELU,
        conv4=Conv(384, (3, 3), padding=around(1), groups=groups),
        relu4=RELU,
        conv5=Conv(256, (3, 3), padding=around(1), groups=groups),
        relu5=RELU,
        pool5=POOL,
        flatten=Flatten(),
        fc6=Linear(4096),
        relu6=RELU,
        dropout6=Dropout(0.5),
        fc7=Linear(4096),
        relu7=RELU,
        dropout7=Dropout(0.5),
        head=Linear(classes),
    )


def _whole_steps(side: int, kernel: int, stride: int) -> Padding:
    """Zeros so that the last window ends at the edge: the paper's 224 pixels give its 55 windows only with three."""
    total = (kernel - side) % stride
    before, after = total // 2, total - total // 2
    return before, before, after, after
