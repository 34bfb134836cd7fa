"""A net as a picture: boxes from top to bottom, shortcuts and gates at the side, branches side by side.

Unlike a backend this looks at the tree itself: the names of its parts and their repeats are in the tree, not in what
runs through it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kopal.nets.describe import Row, Shape, describe
from kopal.nets.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Custom,
    Dropout,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Residual,
    SqueezeExcite,
    TorchModule,
)
from kopal.nets.net import Net
from kopal.nets.run import join
from kopal.nets.table import words
from kopal.report import svg
from kopal.report.formats import caption
from kopal.report.pieces import NOTHING, Piece, beside, fork, in_frame, stack

KINDS = ("svg",)

# Pixels above the drawing and around it; the longest name and the longest line in a box.
TITLE, MARGIN = 80, 28
NAME, KINDS_LENGTH = 26, 56
LEADS, FOLLOWS = (Conv, Linear), (BatchNorm, Activation, Dropout)

_BLUE, _PURPLE, _GREEN = ("#ddebf9", "#3f76ae"), ("#ece3f8", "#7b52a6"), ("#dcf1e2", "#3d8b5a")
_ORANGE, _YELLOW, _GREY = ("#fdeedb", "#c17d2e"), ("#fbf5c8", "#a3932b"), ("#eff1f3", "#8b949e")
COLOURS: dict[type, tuple[str, str]] = {
    Conv: _BLUE,
    Linear: _PURPLE,
    **dict.fromkeys((MaxPool, AvgPool, GlobalAvgPool), _GREEN),
    Activation: _ORANGE,
    **dict.fromkeys((Custom, TorchModule), _YELLOW),
}


@dataclass(frozen=True)
class Part:
    """One thing in a chain: leaves in one box, or the piece of a larger layer, for all equal ones with these names."""

    names: tuple[str, ...]
    layer: Layer
    entered: Shape
    leaves: tuple[Row, ...] = ()
    piece: Piece = NOTHING


def net_graph(net: Net) -> str:
    """The SVG of a net: the same net gives the same text. Raises `UsageError` where its shapes do not fit."""
    rows = describe(net)
    height, width, channels = net.image
    image = (channels, height, width)
    # Once to learn how wide the widest box is, and once with all of that width.
    trial = _Drawing(rows)
    trial.chain(net.body, "", image, top=True)
    drawing = _Drawing(rows, trial.widest)
    body = stack([drawing.pill("image", _size(image), first=True), drawing.chain(net.body, "", image, top=True)[0]])
    parameters, multiply_adds = sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)
    below = f"{parameters:,} parameters, {multiply_adds:,} multiply-adds for one image"
    name = caption(net.name, 40)
    title = max(svg.text_width(below), 2 * svg.text_width(name))
    spare = max(0, title - body.left - body.right) // 2
    left, right = body.left + spare + MARGIN, body.right + spare + MARGIN
    marks = (
        svg.words(MARGIN, 38, name, "head") + svg.words(MARGIN, 58, below, "quiet") + svg.moved(left, TITLE, body.marks)
    )
    return svg.document(left + right, TITLE + body.height + MARGIN, net.name, marks)


class _Drawing:
    """The pieces of one net, all boxes of one width."""

    def __init__(self, rows: Sequence[Row], width: int = 0) -> None:
        self._rows = {row.path: row for row in rows}
        self._width = width
        self.widest = 0

    def chain(self, layer: Chain, path: str, x: Shape, label: str = "", top: bool = False) -> tuple[Piece, Shape]:
        """The parts of a chain below each other; larger ones have a frame with their name, unless there is but one."""
        parts, x = self._parts(layer, path, x)
        several = top or sum(not part.leaves for part in parts) > 1
        framed = [not part.leaves and (several or len(part.names) > 1) for part in parts]
        inside = [part.piece for part, frame in zip(parts, framed, strict=True) if frame]
        reach = max((piece.left for piece in inside), default=0), max((piece.right for piece in inside), default=0)
        pieces = [
            self._box(join(label, part.names[0]), part.leaves)
            if part.leaves
            else in_frame(part.piece, reach, part.names, top)
            if frame
            else part.piece
            for part, frame in zip(parts, framed, strict=True)
        ]
        return stack(pieces), x

    def _parts(self, layer: Chain, path: str, x: Shape) -> tuple[list[Part], Shape]:
        parts: list[Part] = []
        for name, child in layer.layers:
            part, x = self._part(name, child, path, x)
            joined = _together(parts[-1], part) if parts else None
            parts[-1:] = [joined] if joined else [*parts[-1:], part]
        return parts, x

    def _side(self, name: str, layer: Layer, above: str, x: Shape) -> tuple[Piece, Shape]:
        """A layer beside the axis: it has no frame, so its boxes bear its name."""
        if isinstance(layer, Chain) and not _in_one_box(layer, ""):
            return self.chain(layer, join(above, name), x, name)
        part, y = self._part(name, layer, above, x)
        return (self._box(part.names[0], part.leaves) if part.leaves else part.piece), y

    def _gate(self, name: str, layer: Chain, path: str, x: Shape) -> Piece:
        """A gate in one box where it is made of leaves alone."""
        parts, _ = self._parts(layer, path, x)
        if not all(part.leaves for part in parts):
            return self.chain(layer, path, x, name)[0]
        rows = [row for part in parts for row in part.leaves]
        return self._labelled(
            name, [_kinds(part.leaves) for part in parts], _size(rows[-1].output), _ORANGE, _tip(rows)
        )

    def _part(self, name: str, layer: Layer, above: str, x: Shape) -> tuple[Part, Shape]:
        path = join(above, name)
        leaves = [self._rows[leaf] for leaf in _in_one_box(layer, path)]
        if leaves:
            return Part((name,), layer, x, tuple(leaves)), leaves[-1].output
        piece, y = self._larger(layer, path, x)
        return Part((name,), layer, x, (), piece), y

    def _larger(self, layer: Layer, path: str, x: Shape) -> tuple[Piece, Shape]:
        match layer:
            case Residual(body, shortcut):
                main, y = self.chain(body, join(path, "body"), x)
                side = self._side("shortcut", shortcut, path, x)[0] if shortcut else None
                return fork(main, side, "+", _size(y)), y
            case SqueezeExcite(gate):
                return fork(NOTHING, self._gate(path.rpartition(".")[2], gate, join(path, "gate"), x), "×", _size(x)), x
            case Concat(branches):
                drawn = [self._side(name, branch, path, x) for name, branch in branches]
                y = (sum(shape[0] for _, shape in drawn), *drawn[0][1][1:])
                return beside([piece for piece, _ in drawn], self.pill("side by side", _size(y))), y
            case Chain():
                return self.chain(layer, path, x)
            case _:
                raise TypeError(f"{path}: {type(layer).__name__}")

    def _box(self, name: str, leaves: Sequence[Row]) -> Piece:
        kinds = _kinds(leaves)
        said = re.sub(r"[\d_]+$", "", name) == kinds
        return self._labelled(
            name,
            [] if said else [kinds],
            _size(leaves[-1].output),
            COLOURS.get(type(leaves[0].layer), _GREY),
            _tip(leaves),
        )

    def pill(self, name: str, size: str, first: bool = False) -> Piece:
        """A box for what is no layer; nothing leads into the first."""
        return self._labelled(name, [], size, _GREY, first=first)

    def _labelled(
        self, name: str, lines: Sequence[str], size: str, look: tuple[str, str], tip: str = "", first: bool = False
    ) -> Piece:
        name, lines = caption(name, NAME), [caption(line, KINDS_LENGTH) for line in lines]
        needed = max(svg.text_width(name, True) + svg.text_width(size) + 16, *map(svg.text_width, lines), 100) + 20
        self.widest = max(self.widest, needed + needed % 2)
        half, height = self._width // 2, 26 + 18 * len(lines)
        marks = (
            svg.box(-half, 0, 2 * half, height, look, tip)
            + ("" if first else svg.tip(0, 0))
            + svg.words(10 - half, 17, name, "name")
            + svg.words(half - 10, 17, size, "quiet end")
            + "".join(svg.words(10 - half, 35 + 18 * number, line) for number, line in enumerate(lines))
        )
        return Piece(half, half, height, marks)


def _kinds(leaves: Sequence[Row]) -> str:
    return " + ".join(words(row) for row in leaves)


def _tip(leaves: Sequence[Row]) -> str:
    """What a box says where the pointer rests: the full names of its layers, and what they learn and cost."""
    learned, work = sum(row.parameters for row in leaves), sum(row.multiply_adds for row in leaves)
    paths = ", ".join(row.path for row in leaves)
    return f"{paths}: {learned:,} parameters, {work:,} multiply-adds" if learned else paths


def _in_one_box(layer: Layer, path: str) -> list[str]:
    """The paths of the leaves if the layer is small enough for one box: a leaf, or one that others follow."""
    if isinstance(layer, Chain):
        kinds = [child for _, child in layer.layers]
        small = bool(kinds) and isinstance(kinds[0], LEADS) and all(isinstance(kind, FOLLOWS) for kind in kinds[1:])
        return [join(path, name) for name, _ in layer.layers] if small else []
    return [] if isinstance(layer, Residual | Concat | SqueezeExcite) else [path]


def _together(before: Part, part: Part) -> Part | None:
    """Two neighbours as one: an activation in the box of its convolution, a block that is like the one before."""
    if before.leaves and part.leaves:
        follows = isinstance(before.leaves[0].layer, LEADS) and isinstance(part.layer, FOLLOWS)
        return replace(before, leaves=before.leaves + part.leaves) if follows else None
    alike = not before.leaves and before.layer == part.layer and before.entered == part.entered
    return replace(before, names=before.names + part.names) if alike and not part.leaves else None


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))
