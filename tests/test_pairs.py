"""Photos from memory: pictures, arrays, bytes and paths, in the decoder's eyes the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kopal
from conftest import CLASSES, QUICK, draw
from kopal import images
from kopal.datasets import open_dataset
from kopal.errors import DataError, KopalError, UnreadableImage, UsageError
from kopal.images import Geometry

GEOMETRY = Geometry(24, 32, 3)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_every_kind_of_image_gives_the_same_pixels(tmp_path: Path) -> None:
    picture = draw(0, 1)
    picture.save(tmp_path / "a.png")
    kinds = [
        picture,
        np.asarray(picture),
        png(picture),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        bytearray(png(picture)),
    ]
    dataset = open_dataset([(kind, "a") for kind in kinds] + [(picture, "b")])
    assert len(dataset) == 6  # the path twice is one photo
    for index in range(len(dataset)):
        assert np.array_equal(images.read(dataset.read(index), GEOMETRY), images.read(png(picture), GEOMETRY))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_pictures_of_any_mode_are_read(mode: str) -> None:
    picture = draw(1, 1)
    picture = (
        Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    )
    pixels = images.read(open_dataset([(picture, "a"), (picture, "b")]).read(0), GEOMETRY)
    assert pixels.shape == (24, 32, 3)
    if mode not in ("1", "P"):
        near = images.read(png(draw(1, 1).convert("RGB" if mode not in ("L", "LA", "I;16") else "L")), GEOMETRY)
        assert np.abs(pixels.astype(int) - near).mean() < 3


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4)])
def test_arrays_have_two_or_three_axes(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    array.setflags(write=False)
    dataset = open_dataset([(array, "a"), (array, 2)])
    assert dataset.classes == ("2", "a")
    decoded = np.asarray(images.decode(dataset.read(0)))
    if shape[2:] != (4,):
        assert np.array_equal(decoded.reshape(shape), array)


def test_a_picture_that_lies_on_its_side_is_set_upright() -> None:
    picture = draw(0, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    lying = Image.open(io.BytesIO(file.getvalue()))
    assert images.decode(open_dataset([(lying, "a"), (picture, "b")]).read(0)).size == (120, 160)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("a.jpg",)], "pair 0 is tuple of length 1"),
        (["ab"], "pair 0 is of type str"),
        ([(1.5, "a")], "the image of pair 0 is of type float"),
        ([(b"x", "a"), (b"x", "")], "the label of pair 1 is empty"),
        ([(b"x", 1.5)], "the label of pair 0 is of type float"),
        ([(np.zeros((2, 2)), "a")], "float64 of shape (2, 2)"),
        ([(np.zeros((2, 2, 2), np.uint8), "a")], "uint8 of shape (2, 2, 2)"),
        ([(np.zeros((2, 0), np.uint8), "a")], "has no pixels"),
        ([("a.jpg", "cat"), ("./a.jpg", "dog")], "pairs 0 and 1 give a.jpg two labels"),
        ([(b"x", "Cat"), (b"y", "cat")], "differ only by case"),
        ([], "no pairs"),
    ],
)
def test_a_wrong_pair_is_one_error_that_names_it(pairs: list[Any], words: str) -> None:
    with pytest.raises((UsageError, DataError)) as caught:
        open_dataset(pairs)
    assert words in str(caught.value)


def test_what_cannot_be_read_is_a_row_of_the_ledger(tmp_path: Path) -> None:
    whole = io.BytesIO()
    draw(0, 1).save(whole, "JPEG")
    cut = Image.open(io.BytesIO(whole.getvalue()[:2000]))
    floating = Image.fromarray(np.zeros((4, 4), np.float32))
    bad = [cut, floating, b"no picture", tmp_path / "gone.jpg", bytes(33 << 20)]
    dataset = open_dataset([(each, "a") for each in bad] + [(draw(1, 1), "b")])
    for index in range(len(bad)):
        with pytest.raises(UnreadableImage):
            images.decode(dataset.read(index))


def test_a_training_from_memory(tmp_path: Path) -> None:
    pairs = [(draw(kind, number), name) for kind, name in enumerate(CLASSES) for number in range(6)]
    run = kopal.train(pairs, tmp_path / "out", QUICK)
    assert run.report.n == 18
    assert run.classifier.classes == tuple(sorted(CLASSES))
    assert run.ledger == ()
    again = kopal.train(((image, label) for image, label in pairs), tmp_path / "again", QUICK)
    assert again.report.accuracy == run.report.accuracy
    with pytest.raises(KopalError, match="the pairs bring labels"):
        kopal.train(pairs, labels_from="prefix")
