"""The drawn net: every layer is in it, nothing overlaps, repeats are counted, any name is only text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from kopal.autograd.function import Function
from kopal.nets.describe import describe
from kopal.nets.layers import (
    Activation,
    Chain,
    Concat,
    Conv,
    Custom,
    Flatten,
    GlobalAvgPool,
    Linear,
    Residual,
    SqueezeExcite,
    around,
    chain,
)
from kopal.nets.net import Net
from kopal.nets.registry import NAMES, build
from kopal.report import svg
from kopal.report.net_graph import net_graph

Kopal = Callable[..., tuple[int, str, str]]

UNFOLDED = ("linear", "mlp", "lenet5", "garment", "alexnet-2012", "vgg16", "googlenet")
SAME = Conv(4, (3, 3), padding=around(1))


class Box(NamedTuple):
    tip: str
    left: float
    top: float
    right: float
    bottom: float


def marks(drawing: str) -> Iterator[tuple[ET.Element, int, int]]:
    """Every mark with the place of its origin."""

    def walk(node: ET.Element, x: int, y: int) -> Iterator[tuple[ET.Element, int, int]]:
        moved = re.fullmatch(r"translate\((-?\d+) (-?\d+)\)", node.get("transform", ""))
        if moved:
            x, y = x + int(moved[1]), y + int(moved[2])
        yield node, x, y
        for child in node:
            yield from walk(child, x, y)

    return walk(ET.fromstring(drawing), 0, 0)


def kind(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]


def boxes(drawing: str) -> list[Box]:
    """The boxes of layers: those that say something where the pointer rests."""
    found = []
    for node, x, y in marks(drawing):
        if kind(node) == "rect" and len(node):
            left, top, width, height = (float(node.get(name, "")) for name in ("x", "y", "width", "height"))
            found.append(Box(node[0].text or "", x + left, y + top, x + left + width, y + top + height))
    return found


def paths(drawing: str) -> list[str]:
    return [path for box in boxes(drawing) for path in box.tip.split(":")[0].split(", ")]


def overlaps(found: list[Box]) -> list[tuple[str, str]]:
    return [
        (a.tip, b.tip)
        for number, a in enumerate(found)
        for b in found[number + 1 :]
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom
    ]


def texts(drawing: str) -> list[str]:
    return [node.text or "" for node, _, _ in marks(drawing) if kind(node) == "text"]


def small(**layers: object) -> Net:
    return Net("small", (8, 8, 4), chain(**layers))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_or_leaves_the_page_and_every_drawn_layer_is_one_of_the_net(name: str) -> None:
    net = build(name)
    drawing = net_graph(net)
    found = boxes(drawing)
    page = ET.fromstring(drawing)
    assert overlaps(found) == []
    assert min(box.left for box in found) >= 0
    assert max(box.right for box in found) <= float(page.get("width", ""))
    assert max(box.bottom for box in found) <= float(page.get("height", ""))
    assert float(page.get("height", "")) < 9000
    drawn, real = paths(drawing), {row.path for row in describe(net)}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= real
    assert f"{sum(row.parameters for row in describe(net)):,} parameters" in drawing


def test_the_check_for_overlaps_can_fail() -> None:
    assert overlaps([Box("a", 0, 0, 10, 10), Box("b", 9, 9, 20, 20)]) == [("a", "b")]
    assert overlaps([Box("a", 0, 0, 10, 10), Box("b", 10, 0, 20, 10)]) == []


@pytest.mark.parametrize("name", UNFOLDED)
def test_without_repeats_every_layer_and_every_shape_is_drawn_in_order(name: str) -> None:
    net = build(name)
    drawing = net_graph(net)
    rows = describe(net)
    assert paths(drawing) == [row.path for row in rows]
    words = texts(drawing)
    for row in rows:
        assert "×".join(map(str, row.output)) in words


def test_layers_run_from_top_to_bottom() -> None:
    found = boxes(net_graph(build("vgg16")))
    assert all(upper.bottom < lower.top for upper, lower in itertools.pairwise(found))
    assert len({(box.left, box.right) for box in found}) == 1


def test_equal_blocks_are_drawn_once_and_counted() -> None:
    words = texts(net_graph(build("resnet152")))
    assert [word for word in words if word.endswith(" times")] == ["2 times", "7 times", "35 times", "2 times"]
    assert "2 to 36" in words


def test_blocks_that_see_other_shapes_are_not_the_same() -> None:
    halve = chain(a=Conv(4, (3, 3), (2, 2), around(1)), b=SAME, c=GlobalAvgPool())
    keep = chain(a=SAME, b=SAME, c=Activation("relu"))
    assert "2 times" in texts(net_graph(small(first=keep, second=keep)))
    assert "2 times" not in texts(net_graph(small(first=halve, second=halve)))
    assert "2 times" not in texts(net_graph(small(first=keep, second=chain(a=SAME, b=SAME, c=Activation("tanh")))))


def test_a_shortcut_runs_beside_its_block_and_branches_side_by_side() -> None:
    body = chain(a=SAME, b=SAME)
    drawing = net_graph(small(block=Residual(body, chain(project=SAME)), mix=Concat((("left", SAME), ("right", SAME)))))
    by_path = {box.tip.split(":")[0]: box for box in boxes(drawing)}
    assert by_path["block.shortcut.project"].left > by_path["block.body.a"].right
    assert by_path["block.shortcut.project"].top == by_path["block.body.a"].top
    assert by_path["mix.left"].right < by_path["mix.right"].left
    assert by_path["mix.left"].top == by_path["mix.right"].top
    assert texts(drawing).count("+") == 1
    assert "8×8×8" in texts(drawing)
    assert "+" not in texts(net_graph(small(block=body)))


def test_a_gate_is_one_box_with_its_steps_and_meets_the_way_with_a_times_sign() -> None:
    gate = chain(pool=GlobalAvgPool(), narrow=Conv(2, (1, 1)), relu=Activation("relu"), wide=Conv(4, (1, 1)))
    drawing = net_graph(small(squeeze=SqueezeExcite(gate)))
    assert texts(drawing).count("×") == 1
    assert {"mean of each plane", "1x1 conv, 2 + relu", "1x1 conv, 4"} <= set(texts(drawing))
    assert len(boxes(drawing)) == 1


class Twice(Function):
    """A reader's own leaf."""


@pytest.mark.parametrize(
    "layer",
    [
        Chain(()),
        Residual(chain(a=SAME), Chain(())),
        Residual(Chain(())),
        Residual(chain(a=Residual(chain(b=Residual(chain(c=SAME)))))),
        Concat((("empty", Chain(())), ("same", SAME))),
        Concat((("one", Concat((("two", SAME), ("three", SAME)))), ("four", Residual(chain(a=SAME))))),
        SqueezeExcite(chain(pool=GlobalAvgPool(), more=Residual(chain(a=Conv(4, (1, 1)))))),
        Custom(Twice),
    ],
)
def test_layers_may_stand_in_any_order_and_depth(layer: object) -> None:
    net = small(before=SAME, layer=layer, after=Flatten())
    drawing = net_graph(net)
    assert overlaps(boxes(drawing)) == []
    assert sorted(paths(drawing)) == sorted(row.path for row in describe(net))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b\"'", "new\nline\x00\udcff", "x" * 500, "犬" * 50])
def test_hostile_names_are_only_text(name: str) -> None:
    block = chain(a=SAME, b=SAME, c=GlobalAvgPool())
    net = Net(name, (8, 8, 4), Chain(((name, SAME), (f"{name} block", block), ("flat", Flatten()), ("b", Linear(2)))))
    drawing = net_graph(net)
    drawing.encode()
    assert not [node for node, _, _ in marks(drawing) if kind(node) == "script"]
    assert max(map(len, texts(drawing))) <= 60
    assert float(ET.fromstring(drawing).get("width", "")) < 1200


def test_the_same_net_gives_the_same_drawing() -> None:
    assert net_graph(build("efficientnet-b0")) == net_graph(build("efficientnet-b0"))
    assert net_graph(build("efficientnet-b0")) != net_graph(build("efficientnet-b1"))


def test_lines_have_round_corners_and_heads_end_where_they_point() -> None:
    assert svg.line([(0, 0), (0, 10)]) == '<path class="line" d="M0 0 L0 10"/>\n'
    assert "L0 12 Q0 20 8 20" in svg.line([(0, 0), (0, 20), (40, 20)])
    assert 'd="M5 9 L' in svg.tip(5, 9)


def test_the_command_draws_a_file(kopal: Kopal, tmp_path: Path) -> None:
    code, out, err = kopal("nets", "resnet18", "--graph", tmp_path / "out.SVG")
    assert code == 0, err
    assert "out.SVG" in out
    assert (tmp_path / "out.SVG").read_text(encoding="utf-8") == net_graph(build("resnet18"))


def test_the_command_names_what_is_wrong(kopal: Kopal, tmp_path: Path) -> None:
    for arguments, words in (
        (("resnet18", "--graph", tmp_path / "out.png"), ".svg"),
        (("resnet18", "--graph", tmp_path / "out"), ".svg"),
        (("--graph", tmp_path / "out.svg"), "the name of one net"),
        (("resnet19", "--graph", tmp_path / "out.svg"), "unknown net"),
        (("resnet18", "--graph", tmp_path / "none" / "out.svg"), "cannot write"),
    ):
        code, _, err = kopal("nets", *arguments)
        assert code == 2
        assert words in err
    assert list(tmp_path.iterdir()) == []
