"""The comparison of architectures: every published net is in the picture, at its place, with its size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kopal.nets.published import PUBLISHED
from kopal.report.nets_plot import FAMILIES, nets_picture, points

Kopal = Callable[..., tuple[int, str, str]]


def test_every_published_net_is_a_point_of_a_family() -> None:
    every = points()
    assert {point.name for point in every} == set(PUBLISHED)
    assert {point.family for point in every} == set(FAMILIES)
    assert [point.multiply_adds for point in every] == sorted(point.multiply_adds for point in every)
    by_name = {point.name: point for point in every}
    assert by_name["alexnet"].parameters == 61_100_840
    assert by_name["efficientnet-lite3"].family == "efficientnet-lite"
    assert by_name["efficientnet-b3"].label == "B3"
    assert by_name["resnet50"].label == "50"


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_it_is_drawn_in_every_format_and_the_same_each_time(kind: str, start: bytes) -> None:
    picture = nets_picture(kind)
    assert picture.startswith(start)
    assert nets_picture(kind) == picture


def test_the_picture_names_nets_families_and_sources() -> None:
    text = nets_picture("svg").decode()
    for word in ("Lite0", "B7", "152", "AlexNet 2012", "GoogLeNet", "multiply-adds for one image", "IMAGENET1K_V1"):
        assert re.search(rf">{word}<|{word}", text), word


def test_the_command_draws_it_and_refuses_what_makes_no_sense(kopal: Kopal, tmp_path: Path) -> None:
    code, out, _ = kopal("nets", "--plot", tmp_path / "nets.svg")
    assert code == 0
    assert "drawn in" in out
    assert (tmp_path / "nets.svg").stat().st_size > 10_000
    for wrong in (("nets", "vgg16", "--plot", tmp_path / "a.svg"), ("nets", "--plot", tmp_path / "a.bmp")):
        code, _, err = kopal(*wrong)
        assert code == 2
        assert "expected" in err
    assert not (tmp_path / "a.svg").exists()
