"""GarmentClassifier, the lecture's net for FashionMNIST: LeNet's shape with ReLU and max-pooling.

It is the net of PyTorch's tutorial https://pytorch.org/tutorials/beginner/introyt/trainingyt.html.
"""

from __future__ import annotations

from kopal.nets.layers import Activation, Conv, Flatten, Linear, MaxPool, Normalize, chain
from kopal.nets.net import Net


def garment(classes: int = 10, image: tuple[int, int, int] = (28, 28, 1)) -> Net:
    """Pixels (H, W, C) → K scores; 44 426 parameters for ten classes of 28 x 28 grey garments."""
    body = chain(
        normalize=Normalize((0.5,), (0.5,)),
        conv1=Conv(6, (5, 5)),
        relu1=Activation("relu"),
        pool1=MaxPool((2, 2), (2, 2)),
        conv2=Conv(16, (5, 5)),
        relu2=Activation("relu"),
        pool2=MaxPool((2, 2), (2, 2)),
        flatten=Flatten(),
        fc1=Linear(120),
        relu3=Activation("relu"),
        fc2=Linear(84),
        relu4=Activation("relu"),
        head=Linear(classes),
    )
    return Net("garment", image, body)
