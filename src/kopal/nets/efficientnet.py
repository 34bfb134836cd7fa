"""EfficientNet B0-B7 (arXiv:1905.11946) by compound scaling, and its Lite variants without squeeze-excite.

One small net, B0, was found by search; the others grow its depth, width and resolution together by one factor φ:
1.2^φ, 1.1^φ and 1.15^φ, rounded as published. Lite swaps SiLU for ReLU6, leaves squeeze-excite out, and keeps stem,
head and the first and last stage's depth as they are, so that the nets quantise well
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).

B is built as torchvision builds it, Lite as TensorFlow does: they differ in padding, batch-norm constants and the
range of the pixels. Dropping whole blocks while training (stochastic depth) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from kopal.nets.layers import (
    IMAGENET,
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
    SqueezeExcite,
    around,
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
    "efficientnet-lite3": Scale(1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": Scale(1.4, 1.8, 300, 0.3),
}
B = {
    "efficientnet-b0": Scale(1.0, 1.0, 224, 0.2),
    "efficientnet-b1": Scale(1.0, 1.1, 240, 0.2),
    # 260 in the paper; torchvision's weights and their published accuracy are for 288.
    "efficientnet-b2": Scale(1.1, 1.2, 288, 0.3),
    "efficientnet-b3": Scale(1.2, 1.4, 300, 0.3),
    "efficientnet-b4": Scale(1.4, 1.8, 380, 0.4),
    "efficientnet-b5": Scale(1.6, 2.2, 456, 0.4),
    "efficientnet-b6": Scale(1.8, 2.6, 528, 0.5),
    "efficientnet-b7": Scale(2.0, 3.1, 600, 0.5),
}


@dataclass(frozen=True)
class Style:
    """What the two branches of the family do differently, apart from scale."""

    activation: ActivationName
    norm: BatchNorm
    squeeze: bool
    """A squeeze-excite gate in each block."""
    same: bool
    """TensorFlow's "same" padding instead of equal padding all around."""
    fixed_ends: bool
    """Stem, head and the depth of the first and last stage stay those of B0."""

    def conv_norm(self, out: int, kernel: int, stride: int, side: int, groups: int = 1) -> Chain:
        """Convolution and batch norm."""
        padding = same_padding(side, kernel, stride) if self.same else around(kernel // 2)
        conv = Conv(out, (kernel, kernel), (stride, stride), padding, groups=groups, bias=False)
        return chain(conv=conv, norm=self.norm)

    def active(self, out: int, kernel: int, stride: int, side: int, groups: int = 1) -> Chain:
        """Convolution, batch norm and activation."""
        layers = self.conv_norm(out, kernel, stride, side, groups).layers
        return Chain((*layers, ("activation", Activation(self.activation))))


def efficientnet_lite(name: str, classes: int = 1000, side: int | None = None) -> Net:
    """An EfficientNet-Lite by name, "efficientnet-lite0" to 4, for its published image side or another."""
    style = Style("relu6", BatchNorm(epsilon=1e-3, momentum=0.01), squeeze=False, same=True, fixed_ends=True)
    return _efficientnet(name, LITE[name], style, Normalize((0.5,), (0.5,)), classes, side)


def efficientnet(name: str, classes: int = 1000, side: int | None = None) -> Net:
    """An EfficientNet by name, "efficientnet-b0" to 7, for its published image side or another."""
    # torchvision kept TensorFlow's batch-norm constants for the three largest only.
    norm = BatchNorm(epsilon=1e-3, momentum=0.01) if name[-1] in "567" else BatchNorm()
    style = Style("silu", norm, squeeze=True, same=False, fixed_ends=False)
    return _efficientnet(name, B[name], style, IMAGENET, classes, side)


def round_channels(width: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, never more than a tenth below the wish."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor


def same_padding(side: int, kernel: int, stride: int) -> Padding:
    """TensorFlow's "same": the output has ceil(side / stride) pixels; an odd row goes to the bottom and right."""
    total = max(0, (ceil(side / stride) - 1) * stride + kernel - side)
    before, after = total // 2, total - total // 2
    return before, before, after, after


def _efficientnet(name: str, scale: Scale, style: Style, normalize: Normalize, classes: int, side: int | None) -> Net:
    image_side = side = side or scale.resolution
    ends = 1.0 if style.fixed_ends else scale.width
    channels = round_channels(STEM * ends)
    body: list[tuple[str, Layer]] = [("normalize", normalize), ("stem", style.active(channels, 3, 2, side))]
    side = ceil(side / 2)
    for number, (kernel, stride, expansion, width, repeats) in enumerate(STAGES):
        out = round_channels(width * scale.width)
        fixed = style.fixed_ends and number in (0, len(STAGES) - 1)
        blocks: list[tuple[str, Layer]] = []
        for index in range(repeats if fixed else ceil(repeats * scale.depth)):
            step = stride if index == 0 else 1
            block = _inverted_bottleneck(style, channels, expansion, kernel, step, out, side)
            blocks.append((str(index), Residual(block) if step == 1 and channels == out else block))
            side, channels = ceil(side / step), out
        body.append((f"stage{number + 1}", Chain(tuple(blocks))))
    body += [
        ("features", style.active(round_channels(HEAD * ends), 1, 1, side)),
        ("pool", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("dropout", Dropout(scale.dropout)),
        ("head", Linear(classes)),
    ]
    return Net(name, (image_side, image_side, 3), Chain(tuple(body)))


def _inverted_bottleneck(
    style: Style, channels: int, expansion: int, kernel: int, stride: int, out: int, side: int
) -> Chain:
    """Widen, filter each channel by itself, weigh the channels, narrow: arXiv:1801.04381."""
    wide = channels * expansion
    layers: list[tuple[str, Layer]] = []
    if expansion != 1:
        layers.append(("expand", style.active(wide, 1, 1, side)))
    layers.append(("depthwise", style.active(wide, kernel, stride, side, groups=wide)))
    if style.squeeze:
        layers.append(("squeeze", _squeeze_excite(style, channels // 4, wide)))
    layers.append(("project", style.conv_norm(out, 1, 1, ceil(side / stride))))
    return Chain(tuple(layers))


def _squeeze_excite(style: Style, narrow: int, wide: int) -> SqueezeExcite:
    """One number between 0 and 1 per channel, from the means of all channels."""
    return SqueezeExcite(
        Chain(
            (
                ("pool", GlobalAvgPool()),
                ("reduce", Conv(narrow, (1, 1))),
                (style.activation, Activation(style.activation)),
                ("expand", Conv(wide, (1, 1))),
                ("sigmoid", Activation("sigmoid")),
            )
        )
    )
