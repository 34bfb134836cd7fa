"""What `kopal nets` prints: aligned, at most 100 columns wide, and true."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from kopal.nets.describe import describe
from kopal.nets.published import PUBLISHED, TORCHVISION
from kopal.nets.registry import NAMES, build
from kopal.nets.table import family_lines, net_lines
from kopal.nets.torchvision_weights import DOWNLOADABLE


@pytest.mark.parametrize("name", NAMES)
def test_a_nets_table_is_aligned_fits_100_columns_and_ends_in_its_sums(name: str) -> None:
    lines = list(net_lines(build(name)))
    _check_table(lines[2:])
    assert lines[-1].split()[0] == "total"
    assert lines[-1].split()[1] == f"{sum(row.parameters for row in describe(build(name))):,}"


def test_the_comparison_is_aligned_and_fits_100_columns() -> None:
    lines = list(family_lines())
    _check_table(lines[: lines.index("")])
    assert max(map(len, lines)) <= 100


def test_a_table_that_is_too_wide_or_crooked_is_seen() -> None:
    with pytest.raises(AssertionError):
        _check_table(["a" * 101])
    with pytest.raises(AssertionError):
        _check_table(["net  parameters", "a          12", "total       1"])
    with pytest.raises(AssertionError):
        _check_table(["net  parameters", "a             1,2"])


def _check_table(lines: list[str]) -> None:
    """At most 100 columns; every number ends where its heading ends."""
    assert max(map(len, lines)) <= 100
    heads = list(re.finditer(r"\S+", lines[0]))
    for before, head in pairwise(heads):
        if head.group() in ("parameters", "multiply-adds", "top-1", "top-5"):
            for line in lines[1:]:
                cell = line[before.end() : head.end()]
                assert not cell.strip() or re.fullmatch(r" +[\d,.]+%?", cell), line
                assert not cell.strip() or len(cell) == head.end() - before.end(), line
                assert line[head.end() : head.end() + 1] in ("", " "), line


def test_the_slides_table_of_vgg16_has_its_lines() -> None:
    lines = [" ".join(line.split()) for line in net_lines(build("vgg16"))]
    assert lines[0] == "vgg16: 224 x 224 x 3 pixels in, 1000 scores out"
    for line in (
        "conv1_1 3x3 conv, 64 64x224x224 1,792 86,704,128",
        "pool5 2x2 max-pool /2 512x7x7",
        "fc6 FC 4096 4096 102,764,544 102,760,448",
        "head FC 1000 1000 4,097,000 4,096,000",
        "total 138,357,544 15,470,264,320",
    ):
        assert line in lines


def test_the_comparison_says_where_each_nets_weights_are() -> None:
    def lines(*at_hand: str) -> str:
        return " ".join(" ".join(family_lines(at_hand)).split())

    assert "in the cache" not in lines()
    assert "with --download, once: all of [2]" in lines()
    assert {name for name in NAMES if name in PUBLISHED and PUBLISHED[name].source == TORCHVISION} == {*DOWNLOADABLE}
    assert "in the cache: vgg11, resnet50" in lines("resnet50", "vgg11")
    assert "embedded, no download: efficientnet-lite0" in lines()


def test_the_comparison_gives_accuracy_and_its_source() -> None:
    lines = [" ".join(line.split()) for line in family_lines()]
    assert "resnet50 224 x 224 x 3 25,557,032 4,089,184,256 76.1% 92.9% [2]" in lines
    assert "alexnet-one-tower 224 x 224 x 3 62,378,344 1,135,256,096" in lines
    assert "[2] torchvision, weights IMAGENET1K_V1" in lines
