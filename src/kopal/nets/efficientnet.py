"""EfficientNet (arXiv:1905.11946) by compound scaling, and its Lite variants without squeeze-excite.

One small net, B0, was found by search; the others grow its depth, width and resolution together by fixed factors.
Lite swaps SiLU for ReLU6, leaves squeeze-excite out, and keeps stem, head and the first and last stage's depth as
they are, so that the nets quantise well
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from kopal.nets.layers import (
    Activation,
    ActivationName,
    BatchNorm,
    Chain,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    Normalize,
    Padding,
    Residual,
    chain,
)
from kopal.nets.net import Net

# The paper's table 1, B0: kernel, stride, expansion, channels, repeats.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD = 32, 1280


@dataclass(frozen=True)
class Scale:
    """One size of the family: factors of width and depth, image side, dropout before the head."""

    width: float
    depth: float
    resolution: int
    dropout: float


LITE = {
    "efficientnet-lite0": Scale(1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": Scale(1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": Scale(1.1, 1.2, 260, 0.3),
}


def efficientnet_lite(name: str, classes: int = 1000) -> Net:
    """An EfficientNet-Lite by name, for its published image side."""
    scale = LITE[name]
    body: list[tuple[str, Layer]] = [("normalize", Normalize((0.5,), (0.5,)))]
    side, channels = scale.resolution, STEM
    body.append(("stem", _conv_norm(STEM, 3, 2, side, "relu6")))
    side = ceil(side / 2)
    for number, (kernel, stride, expansion, width, repeats) in enumerate(STAGES):
        out = round_channels(width * scale.width)
        ends = number in (0, len(STAGES) - 1)
        blocks: list[tuple[str, Layer]] = []
        for index in range(repeats if ends else ceil(repeats * scale.depth)):
            step = stride if index == 0 else 1
            block = _inverted_bottleneck(channels, expansion, kernel, step, out, side)
            blocks.append((str(index), Residual(block) if step == 1 and channels == out else block))
            side, channels = ceil(side / step), out
        body.append((f"stage{number + 1}", Chain(tuple(blocks))))
    body += [
        ("features", _conv_norm(HEAD, 1, 1, side, "relu6")),
        ("pool", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("dropout", Dropout(scale.dropout)),
        ("head", Linear(classes)),
    ]
    return Net(name, (scale.resolution, scale.resolution, 3), Chain(tuple(body)))


def round_channels(width: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, never more than a tenth below the wish."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor


def same_padding(side: int, kernel: int, stride: int) -> Padding:
    """TensorFlow's "same": the output has ceil(side / stride) pixels; an odd row goes to the bottom and right."""
    total = max(0, (ceil(side / stride) - 1) * stride + kernel - side)
    before, after = total // 2, total - total // 2
    return before, before, after, after


def _conv_norm(
    out: int, kernel: int, stride: int, side: int, activation: ActivationName | None, groups: int = 1
) -> Chain:
    padding = same_padding(side, kernel, stride)
    conv = Conv(out, (kernel, kernel), (stride, stride), padding, groups=groups, bias=False)
    layers = chain(conv=conv, norm=BatchNorm(epsilon=1e-3, momentum=0.01))
    return Chain((*layers.layers, ("activation", Activation(activation)))) if activation else layers


def _inverted_bottleneck(channels: int, expansion: int, kernel: int, stride: int, out: int, side: int) -> Chain:
    """Widen, filter each channel by itself, narrow: arXiv:1801.04381."""
    wide = channels * expansion
    layers: list[tuple[str, Layer]] = []
    if expansion != 1:
        layers.append(("expand", _conv_norm(wide, 1, 1, side, "relu6")))
    layers.append(("depthwise", _conv_norm(wide, kernel, stride, side, "relu6", groups=wide)))
    layers.append(("project", _conv_norm(out, 1, 1, ceil(side / stride), None)))
    return Chain(tuple(layers))
