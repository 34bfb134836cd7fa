"""The sheet of augmented photos: what stands in which row, any class name, any size, the same bytes each time."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from conftest import draw
from kopal.errors import DataError, PixelsError
from kopal.fit.augment import PRESETS, Augment
from kopal.report.augment_sheet import augment_sheet, in_words

HOSTILE = ("$\\frac{1}$", "<script>&\"'", "new\nline\x00", "🦙 犬 kočka", "x" * 300, "not text \udcff", "_")
PALETTE = np.array([[200, 40, 40], [40, 160, 40], [40, 40, 200], [200, 200, 40], [200, 40, 200], [40, 200, 200]])


def texts(picture: bytes) -> str:
    root = ET.fromstring(picture.decode())
    return "\n".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))


def plain(count: int, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Three photos of each class, all of the class's colour."""
    labels = np.tile(np.arange(count), 3)
    colours = PALETTE[labels % len(PALETTE)].astype(np.uint8)
    return np.broadcast_to(colours[:, None, None, :], (3 * count, side, side, 3)), labels


def runs(line: np.ndarray, colour: np.ndarray) -> int:
    """How many stretches of a colour a line of pixels crosses."""
    there = np.abs(line.astype(int) - colour).max(axis=-1) <= 2
    return int((there[1:] & ~there[:-1]).sum() + there[0])


def test_each_class_has_a_row_of_the_photo_and_seven_versions() -> None:
    pixels, labels = plain(3)
    picture = augment_sheet(pixels, labels, ("kočka", "pes", "alpaka"), PRESETS["light"])
    drawn = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    rows = [
        np.flatnonzero((np.abs(drawn.astype(int) - colour).max(axis=-1) <= 2).any(axis=1)) for colour in PALETTE[:3]
    ]
    assert rows[0].max() < rows[1].min() < rows[1].max() < rows[2].min()
    for colour, where in zip(PALETTE[:3], rows, strict=True):
        assert runs(drawn[int(where.mean())], colour) == 8


def test_of_many_classes_six_are_shown_and_the_seed_chooses() -> None:
    pixels, labels = plain(20)
    names = [f"class {number}" for number in range(20)]
    sheets = (augment_sheet(pixels, labels, names, PRESETS["light"], seed, kind="svg") for seed in (0, 1))
    shown = [set(names) & set(texts(sheet).splitlines()) for sheet in sheets]
    assert [len(classes) for classes in shown] == [6, 6]
    assert shown[0] != shown[1]


def test_the_versions_are_what_a_training_sees() -> None:
    pixels, labels = np.stack([np.asarray(draw(kind, 0, (24, 24))) for kind in range(3)]), np.arange(3)
    names, augment = ("a", "b", "c"), Augment(flip=0.5, shift=0.2, colour=0.4)
    images = np.array([70, 8, 9])
    drawn = np.asarray(Image.open(io.BytesIO(augment_sheet(pixels, labels, names, augment, 5, images))).convert("RGB"))
    for epoch in (1, 7):
        seen, _ = augment.apply(pixels, labels, images, 5, epoch, 3)
        # The third photo's mean colour in its cell, found by its place in the picture.
        left = (0.2 + 1.55 + epoch * 1.06 + 0.06 + 0.05) * 110
        top = (0.95 + 2 * 1.06 + 0.05) * 110
        cell = drawn[round(top) : round(top + 0.9 * 110), round(left) : round(left + 0.9 * 110)]
        inner = seen[2, 1:-1, 1:-1]
        assert np.abs(cell.mean(axis=(0, 1)) - inner.mean(axis=(0, 1))).max() < 6


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_hostile_names_are_only_text_and_the_same_sheet_has_the_same_bytes(kind: str) -> None:
    pixels, labels = plain(len(HOSTILE))
    picture = augment_sheet(pixels, labels, HOSTILE, PRESETS["strong"], kind=kind)
    assert picture == augment_sheet(pixels, labels, HOSTILE, PRESETS["strong"], kind=kind)
    if kind == "svg":
        words = texts(picture)
        assert "Augmentation: strong" in words
        assert "mixup α 0.2" in words
        assert "+ " in words


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 1, 3), (120, 30, 3), (4, 90, 1)])
@pytest.mark.parametrize("name", PRESETS)
def test_photos_of_any_size_and_one_photo_alone_are_drawn(name: str, shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    picture = augment_sheet(pixels, np.array([1]), ("a", "b"), PRESETS[name])
    width, height = Image.open(io.BytesIO(picture)).size
    assert width > 1000
    assert height < 500


def test_the_settings_are_said_in_words() -> None:
    assert in_words(PRESETS["none"]) == "photos are learned from as they are"
    assert in_words(PRESETS["light"]) == "shifted by up to 0.125 of the side"
    for word in ("cropped to 0.35", "within 1.33", "± 0.3", "erased with probability 0.25", "α 0.2"):
        assert word in in_words(PRESETS["strong"])
    pixels, labels = plain(2)
    assert "Augmentation: own settings" in texts(augment_sheet(pixels, labels, "ab", Augment(flip=0.1), kind="svg"))


def test_what_cannot_be_shown_is_refused() -> None:
    pixels, labels = plain(2)
    for photos, truth in ((pixels[:0], labels[:0]), (pixels, labels + 1), (pixels, labels - 1)):
        with pytest.raises(DataError, match="to show"):
            augment_sheet(photos, truth, "ab", PRESETS["light"])
    with pytest.raises(PixelsError):
        augment_sheet(pixels.astype(np.float32), labels, "ab", PRESETS["light"])
