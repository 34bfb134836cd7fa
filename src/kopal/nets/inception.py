"""Inception-v3 (arXiv:1512.00567): large windows as two small ones, square ones as a row and a column.

Built as torchvision builds it, so that its weights fit: without the auxiliary classifier, which only helps training,
and with pixels in -1..1, whatever normalisation its published preprocessing names (`transform_input` undoes that).
"""

from __future__ import annotations

from kopal.nets.layers import (
    Activation,
    AvgPool,
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
    Pair,
    around,
    chain,
)
from kopal.nets.net import Net

HALVE = MaxPool((3, 3), (2, 2))
ROW, COLUMN = (1, 7), (7, 1)


def inception_v3(classes: int = 1000, side: int = 299) -> Net:
    """Inception-v3 without its auxiliary classifier: 23 834 568 parameters."""
    layers: list[tuple[str, Layer]] = [
        ("normalize", Normalize((0.5,), (0.5,))),
        ("conv1", _conv(32, 3, 2, valid=True)),
        ("conv2", chain(valid=_conv(32, 3, valid=True), same=_conv(64, 3))),
        ("pool2", HALVE),
        ("conv3", chain(reduce=_conv(80, 1), filter=_conv(192, 3, valid=True))),
        ("pool3", HALVE),
        *((f"mixed5{letter}", _figure_5(pool)) for letter, pool in zip("bcd", (32, 64, 64), strict=True)),
        ("mixed6a", _halved(_conv(384, 3, 2, valid=True), (_conv(64, 1), _conv(96, 3), _conv(96, 3, 2, valid=True)))),
        *((f"mixed6{letter}", _figure_6(width)) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)),
        (
            "mixed7a",
            _halved(
                _in_a_row(_conv(192, 1), _conv(320, 3, 2, valid=True)),
                (_conv(192, 1), _conv(192, ROW), _conv(192, COLUMN), _conv(192, 3, 2, valid=True)),
            ),
        ),
        ("mixed7b", _figure_7()),
        ("mixed7c", _figure_7()),
    ]
    layers += [("pool", GlobalAvgPool()), ("flatten", Flatten()), ("dropout", Dropout(0.5)), ("head", Linear(classes))]
    return Net("inception-v3", (side, side, 3), Chain(tuple(layers)))


def _figure_5(projection: int) -> Concat:
    """A 5x5 window as two of 3x3, beside the rest of an inception block."""
    return _side_by_side(
        _conv(64, 1),
        # The branch that the paper draws as two 3x3 comes second in its figure, third in torchvision.
        _in_a_row(_conv(48, 1), _conv(64, 5)),
        _in_a_row(_conv(64, 1), _conv(96, 3), _conv(96, 3)),
        _pooled(projection),
    )


def _figure_6(width: int) -> Concat:
    """A 7x7 window as a row and a column, once and twice."""
    return _side_by_side(
        _conv(192, 1),
        _in_a_row(_conv(width, 1), _conv(width, ROW), _conv(192, COLUMN)),
        _in_a_row(_conv(width, 1), _conv(width, COLUMN), _conv(width, ROW), _conv(width, COLUMN), _conv(192, ROW)),
        _pooled(192),
    )


def _figure_7() -> Concat:
    """Rows and columns side by side: a wide block where the planes are small."""

    def fan() -> Concat:
        return Concat((("row", _conv(384, (1, 3))), ("column", _conv(384, (3, 1)))))

    return _side_by_side(
        _conv(320, 1),
        chain(conv1=_conv(384, 1), fan=fan()),
        chain(conv1=_conv(448, 1), conv2=_conv(384, 3), fan=fan()),
        _pooled(192),
    )


def _halved(first: Layer, second: tuple[Chain, ...]) -> Concat:
    """Half the height and width without a bottleneck: two convolutions and a pool, each in steps of two."""
    return _side_by_side(first, _in_a_row(*second), HALVE)


def _side_by_side(*branches: Layer) -> Concat:
    return Concat(tuple((f"branch{number}", branch) for number, branch in enumerate(branches, start=1)))


def _in_a_row(*layers: Layer) -> Chain:
    return Chain(tuple((f"conv{number}", layer) for number, layer in enumerate(layers, start=1)))


def _pooled(projection: int) -> Chain:
    return chain(pool=AvgPool((3, 3), (1, 1), around(1)), project=_conv(projection, 1))


def _conv(out: int, kernel: int | Pair, stride: int = 1, valid: bool = False) -> Chain:
    """Convolution, norm, ReLU; zeros around keep the size unless only whole windows are `valid`."""
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    top, left = (0, 0) if valid else (height // 2, width // 2)
    return chain(
        conv=Conv(out, (height, width), (stride, stride), (top, left, top, left), bias=False),
        norm=BatchNorm(epsilon=1e-3),
        relu=Activation("relu"),
    )
