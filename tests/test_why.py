"""kopal explain PHOTO: maps that add up to the scores, covers where they cannot, and the photos that are nearest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import CLASSES
from kopal.attribution import Attributor
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier, load
from kopal.errors import PixelsError
from kopal.fit.engine import start
from kopal.images import Geometry
from kopal.model_file import Card, golden_pixels
from kopal.nets.garment import garment
from kopal.nets.net import Net
from kopal.nets.resnet9 import resnet9
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]


def untrained(net: Net, classes: int, seed: int = 0) -> Classifier:
    weights = start(net, np.random.default_rng(seed), "he")
    card = Card(net.name, tuple(f"class {index}" for index in range(classes)), Geometry(*net.image), 1.0)
    return Classifier.build(classifier_model(net, weights, 1.0, classes), card)


@pytest.fixture(scope="module")
def pooled() -> Classifier:
    return untrained(resnet9(4, 3, (32, 24, 3)), 3)


def test_the_means_of_class_activation_maps_are_the_scores_but_for_what_every_photo_has(pooled: Classifier) -> None:
    photos = golden_pixels(pooled.geometry)
    attributor = Attributor(pooled)
    scores = pooled.scores(photos)
    apart = scores - scores.mean(axis=1, keepdims=True)
    maps = [[attributor.map(photo, label) for label in range(3)] for photo in photos]
    assert {found.method for row in maps for found in row} == {"class activation map"}
    means = np.array([[found.worth.mean() for found in row] for row in maps])
    assert maps[0][0].worth.shape == (4, 3)
    assert np.allclose(np.diff(means, axis=0), np.diff(apart, axis=0), atol=1e-4 * np.ptp(scores))


def test_a_head_that_is_not_all_of_the_scores_is_not_taken_for_one(
    pooled: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kopal.attribution as module

    found = module.planes(pooled.graph())
    assert found is not None
    other = type(found)(found.model, found.weight + 1e-2 * np.arange(3, dtype=np.float32))
    monkeypatch.setattr(module, "planes", lambda model: other)
    assert Attributor(pooled).map(golden_pixels(pooled.geometry)[0], 1).method == "occlusion"


def test_where_scores_are_not_linear_in_planes_covers_find_the_place_that_decides() -> None:
    net = garment(2)
    classifier = untrained(net, 2)
    photo = np.zeros(classifier.geometry.shape, np.uint8)
    photo[4:8, 16:22] = 255  # all that there is to see
    found = Attributor(classifier).map(photo, 0)
    assert found.method == "occlusion"
    assert found.worth.shape == photo.shape[:2]
    down, right = np.unravel_index(np.abs(found.worth).argmax(), found.worth.shape)
    assert 2 <= down <= 9
    assert 14 <= right <= 23
    # What is plain anyway is worth little when covered.
    assert np.abs(found.worth[20:, :10]).max() < 0.5 * np.abs(found.worth).max()


def test_two_classes_have_opposite_maps(pooled: Classifier) -> None:
    two = untrained(resnet9(4, 2, (16, 16, 3)), 2)
    photo = golden_pixels(two.geometry)[0]
    yes, no = (Attributor(two).map(photo, label).worth for label in (0, 1))
    assert np.allclose(yes, -no, atol=1e-5)


def test_other_pixels_and_other_classes_are_refused(pooled: Classifier) -> None:
    attributor = Attributor(pooled)
    with pytest.raises(PixelsError, match=r"\(5, 5, 3\)"):
        attributor.map(np.zeros((5, 5, 3), np.uint8), 0)
    with pytest.raises(PixelsError, match="class 3"):
        attributor.map(golden_pixels(pooled.geometry)[0], 3)


def test_a_photo_is_explained_with_its_nearest_photos(trained: Run, photos: Path, tmp_path: Path, kopal: Kopal) -> None:
    photo = next((photos / CLASSES[0]).iterdir())
    code, out, err = kopal("explain", trained.model, photo, "--out", tmp_path / "why.png")
    assert (code, err) == (0, "")
    assert CLASSES[0] in out
    assert "class activation map" in out
    assert str(photo) in out.split("nearest", 1)[1]
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_has_the_map_and_the_nearest(trained: Run, photos: Path, kopal: Kopal) -> None:
    photo = next((photos / CLASSES[1]).iterdir())
    code, out, _ = kopal("explain", trained.model, photo, "--class", CLASSES[0], "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["answer"], found["explained"]) == (found["top"][0]["label"], CLASSES[0])
    assert np.array(found["map"]).shape == (7, 7)
    assert found["near"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert Path(found["near"][0]["path"]) == photo
    assert found["compared"] == sum(1 for _ in photos.rglob("*.*"))


def test_without_the_run_folder_the_answer_is_explained_all_the_same(
    trained: Run, photos: Path, tmp_path: Path, kopal: Kopal
) -> None:
    alone = tmp_path / "model.onnx"
    alone.write_bytes(trained.model.read_bytes())
    code, out, _ = kopal("explain", alone, next((photos / CLASSES[0]).iterdir()), "--out", tmp_path / "why.svg")
    assert code == 0
    assert "photos.csv of the run is not beside the model" in out
    assert (tmp_path / "why.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no.jpg",), "no such file"),
        (("{photo}", "--class", "horse"), "no class horse"),
        (("{photo}", "--out", "why.gif"), "a picture named"),
        (("--class", "x"), "without a photo"),
    ],
)
def test_what_cannot_be_explained_is_one_error(
    arguments: tuple[str, ...], said: str, trained: Run, photos: Path, kopal: Kopal
) -> None:
    photo = str(next((photos / CLASSES[0]).iterdir()))
    code, out, err = kopal("explain", trained.model, *(part.replace("{photo}", photo) for part in arguments))
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_a_damaged_list_of_photos_is_one_error(trained: Run, photos: Path, tmp_path: Path, kopal: Kopal) -> None:
    (tmp_path / "model.onnx").write_bytes(trained.model.read_bytes())
    (tmp_path / "photos.csv").write_text("path,class\na,b\n", encoding="utf-8")
    photo = next((photos / CLASSES[0]).iterdir())
    code, _, err = kopal("explain", tmp_path / "model.onnx", photo, "--out", tmp_path / "why.png")
    assert code == 2
    assert "photos.csv cannot be read" in err


def test_the_photos_of_a_run_are_listed_with_part_and_digest(trained: Run, photos: Path) -> None:
    lines = (trained.folder / "photos.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,class,part,sha256"
    assert len(lines) == 1 + sum(1 for _ in photos.rglob("*.*"))
    assert load(trained.model).card.provenance["photos"] == len(lines) - 1
