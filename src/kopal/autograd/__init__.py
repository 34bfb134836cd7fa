"""Reverse-mode automatic differentiation on NumPy: every gradient of a net, readable line by line.

`function.py` says what a node is and how to write one; `graph.py` is the walk back; `tensor.py` records. The other
files are functions, each with its derivative beside it, and what learning needs besides: initialisers, optimisers, a
gradient checker. Imports NumPy and nothing else.
"""

from kopal.autograd.activations import ACTIVATIONS, activation, relu, relu6, sigmoid, silu, tanh
from kopal.autograd.affine import dropout, linear
from kopal.autograd.check import check_gradient
from kopal.autograd.convolution import conv2d
from kopal.autograd.errors import AutogradError, GraphFreed, ShapeMismatch, WrongGradient
from kopal.autograd.function import Function
from kopal.autograd.graph import no_grad
from kopal.autograd.init import INITIALISERS, initialise
from kopal.autograd.losses import cross_entropy, log_softmax, softmax
from kopal.autograd.normalisation import batch_norm, local_response_norm
from kopal.autograd.optimisers import SGD, Adam, AdamW, Optimiser, clip
from kopal.autograd.pooling import avg_pool2d, global_avg_pool, max_pool2d
from kopal.autograd.tensor import Tensor, apply, concat

__all__ = [
    "ACTIVATIONS",
    "INITIALISERS",
    "SGD",
    "Adam",
    "AdamW",
    "AutogradError",
    "Function",
    "GraphFreed",
    "Optimiser",
    "ShapeMismatch",
    "Tensor",
    "WrongGradient",
    "activation",
    "apply",
    "avg_pool2d",
    "batch_norm",
    "check_gradient",
    "clip",
    "concat",
    "conv2d",
    "cross_entropy",
    "dropout",
    "global_avg_pool",
    "initialise",
    "linear",
    "local_response_norm",
    "log_softmax",
    "max_pool2d",
    "no_grad",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
]
