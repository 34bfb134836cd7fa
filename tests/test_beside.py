"""Frozen nets side by side: their features in a row, one graph, one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import QUICK
from kopal.backends.ranges import calibration_pixels
from kopal.errors import UsageError
from kopal.fit.backbones import backbone_of, nets_of
from kopal.images import Geometry
from kopal.model_file import computes_in_int8
from kopal.nets.beside import beside
from kopal.nets.describe import output_shape
from kopal.nets.registry import build
from kopal.pipeline import train
from kopal.recipes import Numbers, Recipe, recipe
from kopal.ways import starts_from_imagenet

BOTH = "efficientnet-lite0+efficientnet-lite1"


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return calibration_pixels(Geometry(96, 96), seed=5)[:3]


@pytest.mark.parametrize("numbers", ["float32", "int8"])
def test_the_features_are_those_of_each_net_in_a_row(numbers: Numbers, pixels: np.ndarray) -> None:
    both = backbone_of(Recipe(net=BOTH, features=numbers, image_size=96))
    each = [backbone_of(Recipe(net=net, features=numbers, image_size=96)) for net in BOTH.split("+")]
    expected = np.hstack([one.features(pixels) for one in each])
    np.testing.assert_allclose(both.features(pixels), expected, atol=1e-5 * np.ptp(expected))
    assert both.dimension == 2560 == output_shape(both.net)[0]
    assert both.net.name == BOTH
    assert both.context not in {one.context for one in each}


def test_they_see_photos_at_the_size_of_the_larger() -> None:
    both = backbone_of(Recipe(net=BOTH))
    assert both.geometry == backbone_of(Recipe(net="efficientnet-lite1")).geometry == Geometry(240, 240)


def test_where_they_come_from_is_said_once_if_it_is_the_same() -> None:
    both = backbone_of(Recipe(net=BOTH, image_size=64))
    each = [backbone_of(Recipe(net=net, image_size=64)) for net in BOTH.split("+")]
    assert both.origin["licence"] == "Apache-2.0"
    assert both.origin["sha256"] == " + ".join(one.origin["sha256"] for one in each)


@pytest.mark.parametrize("numbers", ["float32", "int8"])
def test_a_training_gives_one_file_that_keeps_the_contract(numbers: Numbers, photos: Path, tmp_path: Path) -> None:
    made = replace(QUICK, net=BOTH, features=numbers, image_size=96)
    assert starts_from_imagenet(made)
    run = train(photos, tmp_path / "run", made)
    pixels = calibration_pixels(run.classifier.geometry, seed=1)[:5]
    scores = run.classifier.scores(pixels)
    alone = np.concatenate([run.classifier.scores(image[None]) for image in pixels])
    np.testing.assert_allclose(alone, scores, atol=1e-5 * np.ptp(scores))
    assert run.classifier.verify() <= 1e-6
    assert run.classifier.card.net == BOTH
    assert computes_in_int8(run.classifier.graph()) is (numbers == "int8")
    assert run.report.accuracy > 0.6


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"net": "efficientnet-lite0+efficientnet-lite0"}, "twice"),
        ({"net": "efficientnet-lite0+nonsense", "weights": "imagenet"}, "unknown net 'nonsense'"),
        ({"net": BOTH, "weights": "own.pth"}, "weights of one file"),
        ({"net": BOTH, "weights": "none"}, "unknown net"),
        ({"net": BOTH, "tune": "all"}, "one net"),
    ],
)
def test_nets_that_cannot_stand_side_by_side_are_refused(
    knobs: dict[str, str], words: str, photos: Path, tmp_path: Path
) -> None:
    if "tune" in knobs:
        pytest.importorskip("torch")
    with pytest.raises(UsageError, match=words):
        train(photos, tmp_path / "out", recipe(**knobs))
    assert not (tmp_path / "out").exists()


def test_nets_of_different_images_are_refused() -> None:
    with pytest.raises(UsageError, match="images of"):
        beside([(build("garment").without_head(), {}), (build("linear").without_head(), {})])


def test_a_path_with_a_plus_in_it_is_one_net() -> None:
    assert nets_of(Recipe(net="my+nets.py:make")) == ("my+nets.py:make",)
    assert nets_of(recipe("best")) == ("efficientnet-lite0", "efficientnet-lite2")
