"""A function of your own in a net: twenty-five lines that train, are checked, and export."""

import numpy as np

from kopal.autograd import Function, apply, check_gradient
from kopal.nets.layers import Custom, Flatten, Linear, Normalize, chain
from kopal.nets.net import Net


class Softplus(Function):
    """z = log(1 + exp x), a ReLU without its corner; dz/dx = 1 / (1 + exp -x)."""

    @staticmethod
    def forward(x):
        return np.logaddexp(x, 0).astype(x.dtype), x

    @staticmethod
    def backward(dz, cache):
        return dz / (1 + np.exp(-cache))


check_gradient(lambda x: apply(Softplus, x), [np.random.default_rng(0).normal(size=(3, 4))])

NET = Net(
    "softplus",
    (8, 8, 1),
    chain(
        normalize=Normalize((0.5,), (0.5,)),
        flatten=Flatten(),
        hidden=Linear(32),
        softplus=Custom(Softplus, onnx="Softplus"),
        head=Linear(10),
    ),
)
