"""Looks: made once in the pass that decodes, kept beside the features, true to what the file says."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from conftest import CLASSES, make_photos
from copied_photos import saved, scene
from kopal import images
from kopal.datasets import open_dataset
from kopal.features import Backbone, read
from kopal.fit.backbones import embedded_backbone
from kopal.images import Geometry
from kopal.looks import LOOK, Album, album, look, look_context, sharpness
from kopal.pixels import pixel_context, read_pixels
from kopal.store import Store, cache_folder

LARGE = Geometry(224, 224)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return embedded_backbone("efficientnet-lite0")


def look_of(data: bytes, geometry: Geometry = LARGE) -> np.void:
    image, facts = images.examine(data, geometry)
    return look(image, images.fit(image, geometry), facts, len(data))


def test_the_thumbnail_is_the_whole_picture_in_grey() -> None:
    image = scene(3, (320, 200))
    row = look_of(saved(image, 95))
    wanted = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), float)
    assert np.abs(row["thumbnail"] - wanted).mean() < 3
    assert (row["width"], row["height"], row["format"], row["mode"]) == (320, 200, b"JPEG", b"RGB")
    assert row["bytes"] == len(saved(image, 95))


def test_what_exif_says_is_kept_and_the_size_is_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x0132] = "Maker", "One\x00", 6, "2023:05:14 10:11:12"
    file = io.BytesIO()
    scene(0, (100, 80)).save(file, "JPEG", exif=exif)
    row = look_of(file.getvalue())
    assert (row["camera"], row["day"]) == (b"Maker One", b"2023:05:14")
    assert (row["width"], row["height"]) == (80, 100)
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 00:00:00"
    file = io.BytesIO()
    scene(0, (100, 80)).save(file, "JPEG", exif=exif)
    assert look_of(file.getvalue())["day"] == b"2020:01:02"


@pytest.mark.parametrize("said", ["x" * 500, "čćž\n\t\x1b[31m", "", "\x00"])
def test_odd_exif_is_cut_and_printable(said: str) -> None:
    exif = Image.Exif()
    exif[0x0110] = said
    exif[0x0132] = said
    file = io.BytesIO()
    scene(0, (60, 60)).save(file, "JPEG", exif=exif)
    camera = look_of(file.getvalue())["camera"].decode()
    assert camera.isprintable() and len(camera) <= 40


def test_a_blurred_photo_is_less_sharp_and_a_small_one_says_nothing() -> None:
    image = scene(1)
    sharp, blurred = (
        sharpness(images.fit(picture, LARGE)) for picture in (image, image.filter(ImageFilter.GaussianBlur(4)))
    )
    assert blurred < sharp / 3
    assert np.isnan(sharpness(np.zeros((28, 28, 1), np.uint8)))
    assert sharpness(np.zeros((224, 224, 3), np.uint8)) == 0


def test_grey_has_no_colour_and_colour_has() -> None:
    assert look_of(saved(scene(2).convert("L")))["colour"] == 0
    assert look_of(saved(scene(2)))["colour"] > 20


def test_looks_come_from_the_pass_and_the_second_time_nothing_is_decoded(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=5)
    (folder / CLASSES[0] / "cut.jpg").write_bytes((folder / CLASSES[0] / "1.jpg").read_bytes()[:900])
    dataset = open_dataset(folder)
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))

    def pass_over() -> tuple[np.ndarray, np.ndarray]:
        with (
            closing(Store(cache_folder(), backbone.context)) as store,
            album(backbone.geometry, keep=True) as looks,
        ):
            photos, rows = read(dataset, backbone, store, album=looks)
        assert len(rows) == 1
        assert photos.looks is not None
        return photos.looks, photos.features

    decoded: list[bytes] = []
    real = images.examine
    monkeypatch.setattr(images, "examine", lambda data, geometry: decoded.append(data) or real(data, geometry))
    first, second = pass_over(), pass_over()
    assert len(decoded) == 11 + 1, "the damaged file alone is looked at again"
    assert first[0].tobytes() == second[0].tobytes()
    assert np.array_equal(first[1], second[1])
    assert first[0].shape == (10,) and first[0].dtype == LOOK


def test_features_known_before_looks_were_kept_are_not_computed_again(
    backbone: Backbone, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    dataset = open_dataset(photos)
    with closing(Store(cache_folder(), backbone.context)) as store:
        plain, _ = read(dataset, backbone, store)
        assert plain.looks is None
        monkeypatch.setattr(Backbone, "features", lambda *_: pytest.fail("computed again"))
        with album(backbone.geometry, keep=True) as looks:
            again, _ = read(dataset, backbone, store, album=looks)
    assert again.looks is not None and len(again.looks) == len(plain)
    assert np.array_equal(again.features, plain.features)


def test_pixels_bring_looks_too(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    dataset = open_dataset(photos)
    found = []
    for _ in range(2):
        with (
            closing(Store(cache_folder(), pixel_context(LARGE), "|u1")) as store,
            album(LARGE, keep=True) as looks,
        ):
            found.append(read_pixels(dataset, LARGE, store, album=looks)[0])
        monkeypatch.setattr(images, "examine", lambda *_: pytest.fail("decoded again"))
    assert found[0].looks is not None and found[1].looks is not None
    assert found[0].looks.tobytes() == found[1].looks.tobytes()


def test_a_row_that_is_no_look_is_as_good_as_missing(tmp_path: Path) -> None:
    with closing(Store(tmp_path, look_context(LARGE), "|u1")) as store:
        store.put({b"a" * 32: np.zeros(5, np.uint8)})
        kept = Album(store)
        row = look_of(saved(scene(0)))
        kept.put({b"b" * 32: row})
        assert list(kept.get([b"a" * 32, b"b" * 32])) == [b"b" * 32]
        assert kept.get([b"b" * 32])[b"b" * 32] == row
    assert not Album().get([b"a" * 32])
