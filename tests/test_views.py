"""A net that sees each image in the mirror too: the mean of both, inside the graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import QUICK
from kopal.backends.ranges import calibration_pixels
from kopal.features import Backbone
from kopal.fit.backbones import backbone_of
from kopal.images import Geometry
from kopal.nets.describe import output_shape
from kopal.pipeline import train
from kopal.recipes import Numbers, Recipe, recipe
from kopal.ways import used_knobs


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return calibration_pixels(Geometry(224, 224), seed=5)[:3]


@pytest.mark.parametrize("numbers", ["float32", "int8"])
def test_features_are_the_mean_of_an_image_and_its_mirror_image(numbers: Numbers, pixels: np.ndarray) -> None:
    one = backbone_of(Recipe(features=numbers))
    both = backbone_of(Recipe(features=numbers, views="mirror"))
    expected = (one.features(pixels) + one.features(pixels[:, :, ::-1])) / 2
    np.testing.assert_allclose(both.features(pixels), expected, atol=1e-4 * np.ptp(expected))
    assert np.abs(one.features(pixels) - expected).max() > 0.01 * np.ptp(expected)
    assert both.dimension == one.dimension == output_shape(both.net)[0]
    assert both.geometry == one.geometry
    assert both.context != one.context


def test_a_photo_and_its_mirror_image_get_the_same_scores(photos: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    run = train(photos, tmp_path / "run", replace(QUICK, views="mirror"))
    scores, mirrored = (run.classifier.scores(seen) for seen in (pixels, np.ascontiguousarray(pixels[:, :, ::-1])))
    np.testing.assert_allclose(scores, mirrored, atol=1e-4 * np.ptp(scores))
    alone = np.concatenate([run.classifier.scores(image[None]) for image in pixels])
    np.testing.assert_allclose(alone, scores, atol=1e-5 * np.ptp(scores))
    assert run.classifier.verify() <= 1e-6
    assert run.classifier.card.provenance["recipe"]["views"] == "mirror"


def test_a_net_that_learns_sees_one_view() -> None:
    assert "views" not in used_knobs(recipe("best", net="garment"))
    assert "views" not in used_knobs(recipe("best", tune="all"))


def test_the_mirror_is_no_part_of_the_net_with_one_view() -> None:
    plain: Backbone = backbone_of(Recipe())
    assert not {"mirror-too", "mean-of-two"} & {*plain.net.stages()}
