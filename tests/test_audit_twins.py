"""Copies are found whatever was done to them, photos that are merely alike are not, and crowds are said."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.fft import dctn
from sklearn.datasets import load_digits

from copied_photos import COPIES, cropped, saved, scene
from kopal import images
from kopal.audit import twins as room
from kopal.audit.alignment import Pairs, overlay, structure_alike
from kopal.audit.twins import Twins, find_twins, hashes
from kopal.images import Geometry
from kopal.looks import LOOK, Looks, look

GEOMETRY = Geometry(64, 64)
SCENES = 60


def looks_of(files: list[bytes]) -> Looks:
    rows = np.zeros(len(files), LOOK)
    for place, data in enumerate(files):
        image, facts = images.examine(data, GEOMETRY)
        rows[place] = look(image, images.fit(image, GEOMETRY), facts, len(data))
    return rows


def twins_of(files: list[bytes]) -> Twins:
    return find_twins([hashlib.sha256(data).digest() for data in files], looks_of(files))


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    return [saved(scene(seed)) for seed in range(SCENES)]


@pytest.fixture(scope="module")
def digits() -> tuple[list[bytes], Looks]:
    pixels = (load_digits().images * 255 / 16).astype(np.uint8)
    files = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    return files, looks_of(files)


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_and_nothing_else(kind: str, originals: list[bytes]) -> None:
    copies = [COPIES[kind](scene(seed), seed) for seed in range(SCENES)]
    found = twins_of(originals + copies)
    pairs = {tuple(sorted(pair)) for pair in found.pairs.tolist()}
    wanted = {(place, SCENES + place) for place in range(SCENES)}
    assert len(pairs & wanted) >= 0.95 * SCENES
    assert not pairs - wanted
    assert not found.crowds


def test_a_copy_of_a_copy_is_of_the_same_group(originals: list[bytes]) -> None:
    image = scene(0)
    small = cropped(image, 1).resize((120, 90))
    found = twins_of([*originals, saved(ImageOps.mirror(small), 60), originals[3], originals[3]])
    assert found.groups[SCENES] == found.groups[0] == 0
    assert found.groups[SCENES + 1] == found.groups[SCENES + 2] == found.groups[3] == 3
    assert len(set(found.groups.tolist())) == SCENES


def test_different_photos_are_of_different_groups(originals: list[bytes]) -> None:
    found = twins_of(originals)
    assert not len(found.pairs)
    assert found.groups.tolist() == list(range(SCENES))


def test_two_photos_of_nothing_are_no_copies() -> None:
    black = [saved(Image.new("RGB", (80 + number, 60), (number, number, 0))) for number in range(6)]
    assert not len(twins_of(black).pairs)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_photos_are_no_trouble(count: int, originals: list[bytes]) -> None:
    found = twins_of(originals[:count])
    assert found.groups.tolist() == list(range(count))


def test_digits_do_not_percolate(digits: tuple[list[bytes], Looks]) -> None:
    files, looks = digits
    names = [hashlib.sha256(data).digest() for data in files]
    raw = load_digits().data.astype(np.float32)
    for features in (None, raw):
        found = find_twins(names, looks, features)
        assert not found.crowds
        assert np.bincount(found.groups).max() <= 10
        assert len(found.pairs) < 0.01 * len(files)
        assert found.threshold > 0.9


def test_a_fixed_threshold_would_percolate_and_is_reported(
    digits: tuple[list[bytes], Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, looks = digits
    monkeypatch.setattr(room, "CROWDED", 1e9)
    monkeypatch.setattr(room, "FAR", 0.22)
    found = find_twins([hashlib.sha256(data).digest() for data in files], looks)
    assert max(map(len, found.crowds)) > 0.05 * len(files)
    assert not np.isin(found.pairs, np.concatenate(found.crowds)).any()
    assert np.bincount(found.groups).max() <= 0.05 * len(files)


def test_the_hash_is_scipys_cosine_transform_and_knows_the_mirror_image(originals: list[bytes]) -> None:
    thumbnails = looks_of(originals)["thumbnail"].astype(np.float32)
    plain, mirrored = hashes(thumbnails)
    waves = dctn(thumbnails.astype(float), axes=(1, 2))[:, : room.FREQUENCIES, : room.FREQUENCIES]
    waves = (waves / np.sqrt((waves**2).mean(axis=0))).reshape(len(waves), -1)[:, 1:]
    assert np.allclose(plain, waves / np.linalg.norm(waves, axis=1, keepdims=True), atol=1e-3)
    assert np.allclose(mirrored, hashes(np.ascontiguousarray(thumbnails[:, :, ::-1]))[0], atol=1e-3)


def test_the_window_of_a_crop_is_found_whichever_photo_is_the_crop() -> None:
    image = scene(5)
    part = image.crop((24, 0, 240, 162))  # the right nine tenths, and the upper ones
    rows = looks_of([saved(image), saved(ImageOps.mirror(part))])["thumbnail"].astype(np.float32)
    for pair in ([[0, 1]], [[1, 0]]):
        found = overlay(rows, np.array(pair))
        assert (found.whole[0], found.part[0], bool(found.mirrored[0])) == (0, 1, True)
        y, height, x, width = found.window[0]
        assert (height, width) == pytest.approx((28.8, 28.8), abs=1.7)
        assert (y - height / 2, x + width / 2) == pytest.approx((0, 32), abs=1.2)
        assert structure_alike(rows, found)[0] > 0.85


def test_a_window_that_is_a_little_off_is_moved_until_it_fits() -> None:
    image = scene(6)
    rows = looks_of([saved(image), saved(image.crop((12, 9, 228, 171)))])["thumbnail"].astype(np.float32)
    right = np.array([[16, 28.8, 16, 28.8]], np.float32)
    one, none = np.array([0]), np.array([False])
    for off in ((1, 0, -1, 0), (0, 1.5, 0, -1.5), (-1, 1, 1, 1)):
        window = right + np.array(off, np.float32)
        found = structure_alike(rows, Pairs(one, one + 1, none, window, np.ones(1, np.float32)))
        assert found[0] > 0.85, off


def test_alike_is_symmetric_and_one_for_a_photo_itself(originals: list[bytes]) -> None:
    rows = looks_of(originals[:2])["thumbnail"].astype(np.float32)
    itself = overlay(rows, np.array([[0, 0]]))
    assert structure_alike(rows, itself)[0] == pytest.approx(1, abs=1e-3)
    assert itself.alike[0] == pytest.approx(1, abs=1e-4)
