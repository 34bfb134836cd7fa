"""LeNet-5, the ancestor of the convolutional nets (LeCun, Bottou, Bengio, Haffner 1998, figure 2).

The form that is taught today, 61 706 parameters on one grey plane. The original differs in three places: its second
convolution saw a hand-made selection of the first one's planes, its pooling had a learned factor and bias per plane,
and its last layer measured distances to drawn digits.
"""

from __future__ import annotations

from kopal.nets.layers import Activation, AvgPool, Conv, Flatten, Linear, Normalize, around, chain
from kopal.nets.net import Net


def lenet5(classes: int = 10, image: tuple[int, int, int] = (32, 32, 1)) -> Net:
    """Pixels (H, W, C) → K scores; images smaller than 32 x 32, such as 28 x 28 digits, get a margin up to that."""
    margin = max(0, 32 - min(image[:2])) // 2
    body = chain(
        normalize=Normalize((0.5,), (0.5,)),
        conv1=Conv(6, (5, 5), padding=around(margin)),
        tanh1=Activation("tanh"),
        pool1=AvgPool((2, 2), (2, 2)),
        conv2=Conv(16, (5, 5)),
        tanh2=Activation("tanh"),
        pool2=AvgPool((2, 2), (2, 2)),
        flatten=Flatten(),
        fc1=Linear(120),
        tanh3=Activation("tanh"),
        fc2=Linear(84),
        tanh4=Activation("tanh"),
        head=Linear(classes),
    )
    return Net("lenet5", image, body)
