"""The alphabet that architectures are written in: frozen descriptions, no arrays, no arithmetic.

Leaves say what happens to an image tensor (N, C, H, W) or a vector (N, D). The four combinators say how leaves are
joined. Padding is always four numbers, resolved when the net is built. Parameter names are those of PyTorch's layers
(`weight`, `bias`, `running_mean`, `running_var`), prefixed by the path of the layer in the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from kopal.nets.heads import HeadLeaf

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[int, int, int, int]
"""Rows and columns of zeros: (top, left, bottom, right), the order of ONNX."""

ActivationName: TypeAlias = Literal["relu", "relu6", "sigmoid", "tanh", "silu"]

NO_PADDING: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class Conv:
    """`weight` (out, in / groups, kernel height, kernel width) and, if `bias`, `bias` (out,)."""

    out: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = NO_PADDING
    groups: int = 1
    dilation: Pair = (1, 1)
    bias: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """(x - mean) / sqrt(var + epsilon) · weight + bias per channel, arXiv:1502.03167."""

    epsilon: float = 1e-5
    momentum: float = 0.1


@dataclass(frozen=True)
class LocalResponseNorm:
    """x / (k + alpha / size · Σ x²)^beta, the sum over `size` neighbouring channels, as AlexNet has it."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class Linear:
    """s = w·x + b: `weight` (out, in) and, if `bias`, `bias` (out,)."""

    out: int
    bias: bool = True


@dataclass(frozen=True)
class Activation:
    """One number in, one number out, element by element."""

    name: ActivationName


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window; `ceil` keeps a last window that hangs over the edge."""

    kernel: Pair
    stride: Pair
    padding: Padding = NO_PADDING
    ceil: bool = False


@dataclass(frozen=True)
class AvgPool:
    """The mean of each window, padding counted as zeros."""

    kernel: Pair
    stride: Pair
    padding: Padding = NO_PADDING


@dataclass(frozen=True)
class GlobalAvgPool:
    """(N, C, H, W) → (N, C, 1, 1): the mean of each channel."""


@dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) → (N, C·H·W)."""


@dataclass(frozen=True)
class Dropout:
    """Zeroes a share `rate` of the values while training, scales the rest up; nothing afterwards."""

    rate: float


@dataclass(frozen=True)
class Normalize:
    """Pixels 0..255 → (x / 255 - mean) / std per channel; one number stands for all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's training photos: what its nets expect their pixels to be brought to."""


@dataclass(frozen=True)
class Quantize:
    """Each number becomes the nearest of 256 steps: q = clip(round(x / scale) + zero, 0, 255), then (q - zero) · scale.

    Zero is one of the steps, so that padding is exact (arXiv:1712.05877).
    """

    scale: float
    zero: int


@dataclass(frozen=True)
class QuantizedConv:
    """A convolution that reads steps of `input_scale`; as a graph it computes in whole numbers.

    `weight` and `bias` are those of `conv`, which has a bias; the graph rounds them, each output channel by itself.
    """

    conv: Conv
    input_scale: float


@dataclass(frozen=True)
class Custom:
    """A reader's own leaf: `function` is a node of the autograd engine, a class with `forward` and `backward`.

    `parameters` names what it learns, with shapes; `output` maps the shape of one image (by default it stays);
    `onnx` is the operator's name, or a function (graph, path, inputs) → output that writes its nodes. Without it the
    net trains, and says at export what is missing.
    """

    function: type[Any]
    parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()
    output: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None
    onnx: str | Callable[[Any, str, list[str]], str] = ""


@dataclass(frozen=True)
class TorchModule:
    """A torch module as one leaf: an architecture that is written elsewhere.

    `structure` is the nn.Module, for float (N, C, H, W); `program` is what it computes once it has learned, operator by
    operator, as torch.export recorded it. The arrays that it `learned` and those that are `fixed` (such as running
    statistics) have the module's own names; the module's own values only start a training. Whole numbers, such as
    tables of positions, stay the module's. `takes` and `gives` are the shapes of one image before and after.
    """

    name: str
    structure: Any
    program: Any
    learned: tuple[tuple[str, tuple[int, ...]], ...]
    fixed: tuple[tuple[str, tuple[int, ...]], ...]
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    multiply_adds: int = 0


@dataclass(frozen=True)
class Chain:
    """One layer after the other, each with its name."""

    layers: tuple[tuple[str, Layer], ...]


@dataclass(frozen=True)
class Residual:
    """body(x) + shortcut(x); without a shortcut x itself is added (arXiv:1512.03385)."""

    body: Chain
    shortcut: Chain | None = None


@dataclass(frozen=True)
class Concat:
    """The branches' outputs side by side along the channels (arXiv:1409.4842)."""

    branches: tuple[tuple[str, Layer], ...]


@dataclass(frozen=True)
class SqueezeExcite:
    """x · gate(x): the gate gives one number per channel (arXiv:1709.01507)."""

    gate: Chain


Leaf: TypeAlias = (
    Conv
    | BatchNorm
    | LocalResponseNorm
    | Linear
    | Activation
    | MaxPool
    | AvgPool
    | GlobalAvgPool
    | Flatten
    | Dropout
    | Normalize
    | Quantize
    | QuantizedConv
    | Custom
    | TorchModule
    | HeadLeaf
)
Layer: TypeAlias = Leaf | Chain | Residual | Concat | SqueezeExcite


def around(size: int) -> Padding:
    """The same number of zeros on all four sides."""
    return size, size, size, size


def chain(**layers: Layer) -> Chain:
    """`chain(conv=Conv(...), norm=BatchNorm())`: a Chain whose layers are named by the keywords."""
    return Chain(tuple(layers.items()))
