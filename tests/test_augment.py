"""Augmentation: each change against an oracle by hand or by Pillow, and what must not matter: batch, order, process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import stats

from kopal.arrays import one_hot
from kopal.errors import PixelsError, UsageError
from kopal.fit.augment import ERASED, PRESETS, Augment
from kopal.fit.draws import uniforms
from kopal.fit.jitter import jitter
from kopal.fit.warp import Boxes, blend, boxes, warp

SHAPES = [(16, 20, 3), (9, 7, 1), (28, 28, 1), (1, 1, 3), (2, 1, 1), (33, 5, 3)]
CLASSES = 5


def batch(shape: tuple[int, int, int], count: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, labels, and indices as they stand in a shuffled training set."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *shape), np.uint8)
    return pixels, rng.integers(0, CLASSES, count), rng.permutation(10_000)[:count]


def smooth(count: int = 12, side: int = 48) -> np.ndarray:
    """Photos without hard edges (N, S, S, 3)."""
    coarse = np.random.default_rng(1).integers(0, 256, (count, 6, 6, 3), np.uint8)
    grown = [np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC)) for photo in coarse]
    return np.stack(grown)


def still(count: int) -> np.ndarray:
    return np.zeros(count, np.int64)


def straight(count: int) -> np.ndarray:
    return np.zeros(count, np.bool_)


def whole(count: int) -> Boxes:
    zero, one = np.zeros(count), np.ones(count)
    return Boxes(zero, zero, one, one)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PRESETS)
def test_pixels_stay_uint8_of_their_shape_and_the_input_is_not_touched(name: str, shape: tuple[int, int, int]) -> None:
    pixels, labels, images = batch(shape)
    before = pixels.copy()
    for array in (pixels, labels, images):
        array.flags.writeable = False
    augmented, targets = PRESETS[name].apply(pixels, labels, images, 3, 2, CLASSES)
    assert augmented.dtype == np.uint8
    assert augmented.shape == pixels.shape
    np.testing.assert_array_equal(pixels, before)
    if name == "strong":
        assert targets.dtype == np.float32
        assert targets.shape == (24, CLASSES)
    else:
        np.testing.assert_array_equal(targets, labels)
    nobody, none = PRESETS[name].apply(pixels[:0], labels[:0], images[:0], 3, 2, CLASSES)
    assert len(nobody) == len(none) == 0
    assert none.ndim == targets.ndim


def test_with_everything_off_photos_are_as_they_are() -> None:
    pixels, labels, images = batch((16, 20, 3))
    same, targets = PRESETS["none"].apply(pixels, labels, images, 0, 1, CLASSES)
    np.testing.assert_array_equal(same, pixels)
    np.testing.assert_array_equal(targets, labels)
    for neutral in (Augment(resized_crop=(1.0, 1.0)), Augment(shift=0.01), Augment(colour=1e-9)):
        np.testing.assert_array_equal(neutral.apply(pixels, labels, images, 0, 1, CLASSES)[0], pixels)


@pytest.mark.parametrize("name", ["light", "medium", "all but mixup"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_photo_looks_the_same_in_any_batch_and_any_order(name: str, shape: tuple[int, int, int]) -> None:
    augment = PRESETS[name] if name in PRESETS else replace(PRESETS["strong"], mixup=0.0, erase=1.0)
    pixels, labels, images = batch(shape)
    together, _ = augment.apply(pixels, labels, images, 3, 2, CLASSES)
    order = np.random.default_rng(1).permutation(24)
    np.testing.assert_array_equal(
        augment.apply(pixels[order], labels[order], images[order], 3, 2, CLASSES)[0], together[order]
    )
    for one in (slice(0, 1), slice(5, 6), slice(5, 12)):
        alone, _ = augment.apply(pixels[one], labels[one], images[one], 3, 2, CLASSES)
        np.testing.assert_array_equal(alone, together[one])
    if min(shape[:2]) > 4:
        for seed, epoch, other in ((4, 2, images), (3, 3, images), (3, 2, images + 1)):
            assert not np.array_equal(augment.apply(pixels, labels, other, seed, epoch, CLASSES)[0], together)


def test_with_mixup_the_order_of_the_batch_does_not_matter_but_its_members_do() -> None:
    pixels, labels, images = batch((8, 8, 3))
    strong = PRESETS["strong"]
    together, targets = strong.apply(pixels, labels, images, 3, 2, CLASSES)
    order = np.random.default_rng(1).permutation(24)
    shuffled = strong.apply(pixels[order], labels[order], images[order], 3, 2, CLASSES)
    np.testing.assert_array_equal(shuffled[0], together[order])
    np.testing.assert_array_equal(shuffled[1], targets[order])
    half, _ = strong.apply(pixels[:12], labels[:12], images[:12], 3, 2, CLASSES)
    assert not np.array_equal(half, together[:12])


def test_another_process_and_other_threads_make_the_same_photos() -> None:
    code = """
import hashlib, numpy as np
from kopal.fit.augment import PRESETS
rng = np.random.default_rng(0)
pixels, labels = rng.integers(0, 256, (40, 33, 31, 3), np.uint8), rng.integers(0, 5, 40)
mixed, targets = PRESETS["strong"].apply(pixels, labels, np.arange(40), 7, 3, 5)
print(hashlib.sha256(mixed.tobytes() + targets.tobytes()).hexdigest())
"""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 33, 31, 3), np.uint8), rng.integers(0, 5, 40)
    mixed, targets = PRESETS["strong"].apply(pixels, labels, np.arange(40), 7, 3, 5)
    here = hashlib.sha256(mixed.tobytes() + targets.tobytes()).hexdigest()
    for threads in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        )
        assert there.stdout.strip() == here


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_is_the_mirror_image_of_every_pixel(shape: tuple[int, int, int]) -> None:
    pixels, labels, images = batch(shape)
    mirror = np.stack([np.fliplr(photo) for photo in pixels])
    np.testing.assert_array_equal(Augment(flip=1.0).apply(pixels, labels, images, 0, 1, CLASSES)[0], mirror)
    some, _ = Augment(flip=0.5).apply(pixels, labels, images, 0, 1, CLASSES)
    flipped = uniforms(0, 1, images, ("flip",))[0] < 0.5
    assert 0 < flipped.sum() < len(flipped)
    np.testing.assert_array_equal(some, np.where(flipped[:, None, None, None], mirror, pixels))


@pytest.mark.parametrize("crop", [False, True])
def test_a_shift_is_a_window_of_the_reflected_photo(crop: bool) -> None:
    photo = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], np.uint8)[None, :, :, None]
    by_hand = {
        (0, 0): [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]],
        (1, 0): [[5, 6, 7, 8], [1, 2, 3, 4], [5, 6, 7, 8]],
        (-1, 0): [[5, 6, 7, 8], [9, 10, 11, 12], [5, 6, 7, 8]],
        (0, 2): [[3, 2, 1, 2], [7, 6, 5, 6], [11, 10, 9, 10]],
        (0, -2): [[3, 4, 3, 2], [7, 8, 7, 6], [11, 12, 11, 10]],
        (2, -1): [[10, 11, 12, 11], [6, 7, 8, 7], [2, 3, 4, 3]],
    }
    for (down, right), expected in by_hand.items():
        moved = warp(photo, straight(1), np.array([down]), np.array([right]), whole(1) if crop else None)
        np.testing.assert_array_equal(moved[0, :, :, 0], expected)
    pixels, _, _ = batch((12, 10, 3))
    rng = np.random.default_rng(2)
    down, right = rng.integers(-4, 5, 24), rng.integers(-4, 5, 24)
    padded = np.pad(pixels, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    expected = [photo[4 - y : 16 - y, 4 - x : 14 - x] for photo, y, x in zip(padded, down, right, strict=True)]
    np.testing.assert_array_equal(warp(pixels, straight(24), down, right, whole(24) if crop else None), expected)


def test_shifts_reach_each_pixel_up_to_their_share_alike() -> None:
    count = 9 * 5 * 200
    pixels = np.zeros((count, 32, 16, 1), np.uint8)
    pixels[:, 16, 8] = 255
    moved, _ = Augment(shift=0.125).apply(pixels, still(count), np.arange(count), 0, 1, 1)
    _, rows, columns, _ = np.nonzero(moved)
    found, counts = np.unique(np.stack([rows - 16, columns - 8]), axis=1, return_counts=True)
    assert found.shape[1] == 9 * 5
    assert (np.abs(found).max(axis=1) == (4, 2)).all()
    assert np.abs(counts - 200).max() < 6 * np.sqrt(200)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_a_resized_crop_is_pillows(grey: bool, mirrored: bool) -> None:
    rng = np.random.default_rng(3)
    pixels = np.concatenate([smooth(), rng.integers(0, 256, (12, 48, 48, 3), np.uint8)])[:, :40]
    pixels = pixels[..., :1] if grey else pixels
    box = boxes(0.1 + 0.9 * rng.random(24), rng.random(24), rng.random(24), rng.random(24), 2.0)
    down, right = rng.integers(-6, 7, 24), rng.integers(-6, 7, 24)
    cropped = warp(pixels, np.full(24, mirrored), down, right, box)
    moved = warp(pixels, straight(24), down, right, None)
    for index, photo in enumerate(moved):
        top, left = box.top[index] * 40, box.left[index] * 48
        corners = (left, top, left + box.width[index] * 48, top + box.height[index] * 40)
        image = Image.fromarray(photo[..., 0] if grey else photo)
        expected = np.asarray(image.resize((48, 40), Image.Resampling.BILINEAR, corners)).reshape(40, 48, -1)
        expected = expected[:, ::-1] if mirrored else expected
        assert np.abs(cropped[index].astype(int) - expected).max() <= 2


def test_boxes_have_their_area_and_lie_inside() -> None:
    rng = np.random.default_rng(0)
    area = rng.uniform(0.02, 1, 5000)
    box = boxes(area, *rng.random((3, 5000)), 3.3)
    np.testing.assert_allclose(box.height * box.width, area)
    assert (box.top >= 0).all()
    assert (box.left >= 0).all()
    assert (box.top + box.height <= 1 + 1e-12).all()
    assert (box.left + box.width <= 1 + 1e-12).all()
    stretch = np.log(box.height / box.width)
    assert np.abs(stretch).max() <= np.log(3.3) + 1e-9
    small = stretch[area < 0.3]
    assert abs(small.mean()) < 5 * small.std() / np.sqrt(len(small))


def test_each_factor_of_the_colour_is_pillows_enhancement() -> None:
    pixels = smooth()
    one = np.ones(len(pixels))
    for factor in (0.0, 0.6, 1.0, 1.5, 2.0):
        for place, enhance in enumerate((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)):
            factors = [one, one, one]
            factors[place] = factor * one
            ours = jitter(pixels, *factors).astype(int)
            theirs = np.stack([np.asarray(enhance(Image.fromarray(photo)).enhance(factor)) for photo in pixels])
            assert np.abs(ours - theirs).max() <= 2, (enhance, factor)


def test_together_the_factors_work_in_turn() -> None:
    pixels = (64 + smooth() // 4).astype(np.uint8)
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.7, 1.3, (3, len(pixels)))
    ours = jitter(pixels, *factors).astype(int)
    for index, photo in enumerate(pixels):
        image = Image.fromarray(photo)
        for factor, enhance in zip(
            factors[:, index], (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), strict=True
        ):
            image = enhance(image).enhance(float(factor))
        assert np.abs(ours[index] - np.asarray(image)).max() <= 4


def test_colour_keeps_the_mean_within_its_strength_and_grey_grey() -> None:
    pixels = (90 + smooth(48) // 4).astype(np.uint8)
    labels, images = still(48), np.arange(48)
    changed, _ = Augment(colour=0.3).apply(pixels, labels, images, 0, 1, 1)
    ratio = changed.mean(axis=(1, 2, 3)) / pixels.mean(axis=(1, 2, 3))
    assert (ratio > 0.69).all()
    assert (ratio < 1.31).all()
    assert ratio.std() > 0.1
    grey, _ = Augment(colour=0.3).apply(np.repeat(pixels[..., :1], 3, axis=3), labels, images, 0, 1, 1)
    assert np.ptp(grey.astype(int), axis=3).max() <= 1
    single, _ = Augment(colour=0.3).apply(np.ascontiguousarray(pixels[..., :1]), labels, images, 0, 1, 1)
    assert np.abs(single[..., 0].astype(int) - grey[..., 0]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_rectangle_of_one_colour_is_erased_from_the_share_of_photos_that_was_asked_for(channels: int) -> None:
    count, side = 4000, 32
    # Two values that alternate, so that no rectangle of one colour is left where nothing was erased.
    pixels = np.tile(np.array([[10, 20], [20, 10]], np.uint8), (count, side // 2, side // 2))[..., None]
    pixels = np.repeat(pixels, channels, axis=3)
    augmented, _ = Augment(erase=0.3).apply(pixels, still(count), np.arange(count), 0, 1, 1)
    changed = (augmented != pixels).any(axis=3)
    erased = changed.any(axis=(1, 2))
    assert abs(erased.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / count)
    shares = []
    for photo, where in zip(augmented[erased], changed[erased], strict=True):
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        inside = photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].reshape(-1, channels)
        assert (inside == inside[0]).all()
        shares.append(len(inside) / side**2)
    assert ERASED[0] * 0.5 < min(shares)
    assert max(shares) < ERASED[1] * 1.15
    assert abs(np.mean(shares) - np.mean(ERASED)) < 0.015


def test_mixup_blends_pixels_and_targets_by_the_same_shares() -> None:
    count = 600
    # Photo k is k everywhere in red, its label is k, so a blend tells who is in it.
    labels = np.arange(count) % 200
    pixels = np.zeros((count, 2, 2, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = labels[:, None, None], 200
    mixed, targets = Augment(mixup=0.4).apply(pixels, labels, np.arange(count), 0, 1, 200)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets.sum(axis=1), 1)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], targets @ np.arange(200), atol=0.5001)
    assert (mixed[..., 1] == 200).all()
    own = targets[np.arange(count), labels]
    assert own.min() >= 0.5
    assert ((targets > 0).sum(axis=1) <= 2).all()
    assert 0.02 < (1 - own).mean() < 0.25
    alone, target = Augment(mixup=0.4).apply(pixels[:1], labels[:1], np.arange(1), 0, 1, 200)
    np.testing.assert_array_equal(alone, pixels[:1])
    np.testing.assert_array_equal(target, one_hot(labels[:1], 200))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_lesser_share_of_mixup_is_that_of_a_beta_distribution(alpha: float) -> None:
    pixels, labels = np.zeros((500, 1, 1, 1), np.uint8), np.arange(500)
    batches = (Augment(mixup=alpha).apply(pixels, labels, labels, 0, epoch, 500) for epoch in range(16))
    lesser = np.concatenate([1 - targets.max(axis=1) for _, targets in batches])
    expected = stats.beta(alpha, alpha)
    for share in (0.05, 0.2, 0.35):
        chance = 2 * expected.cdf(share)
        # Shares are rounded to 256ths.
        slack = 2 * (expected.cdf(share + 1 / 512) - expected.cdf(share - 1 / 512))
        assert abs((lesser <= share).mean() - chance) < 5 * np.sqrt(chance * (1 - chance) / len(lesser)) + slack


def test_a_blend_is_rounded_to_the_nearest() -> None:
    first, second = (part.astype(np.uint8).reshape(-1) for part in np.meshgrid(np.arange(256), np.arange(0, 256, 5)))
    for weight in (0, 1, 77, 128, 255, 256):
        exact = (first.astype(float) * (256 - weight) + second.astype(float) * weight) / 256
        assert np.abs(blend(first, second, np.array([weight], np.uint16)) - exact).max() <= 0.5


def test_presets_are_in_order_of_strength() -> None:
    assert list(PRESETS) == ["none", "light", "medium", "strong"]
    assert PRESETS["none"] == Augment()
    pixels, labels, images = smooth(), still(12), np.arange(12)
    changes = [
        np.abs(preset.apply(pixels, labels, images, 0, 1, 2)[0].astype(int) - pixels).mean()
        for preset in PRESETS.values()
    ]
    assert changes[0] == 0
    assert changes[1] > 5


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("flip", -0.1),
        ("flip", 1.1),
        ("flip", float("nan")),
        ("shift", 0.6),
        ("colour", 1.5),
        ("erase", float("inf")),
        ("mixup", -1.0),
        ("mixup", 0.001),
        ("mixup", float("nan")),
        ("resized_crop", (1.5, 1.0)),
        ("resized_crop", (0.5, 0.9)),
        ("resized_crop", (0.5, float("nan"))),
        ("resized_crop", (0.5,)),
    ],
)
def test_a_knob_out_of_range_is_refused_by_name(knob: str, value: object) -> None:
    with pytest.raises(UsageError, match=knob):
        Augment(**{knob: value})


def test_arrays_that_do_not_fit_are_refused() -> None:
    pixels, labels, images = batch((4, 4, 3))
    for wrong in (pixels.astype(np.float32), pixels[0], pixels[..., :2], pixels[:, :0]):
        with pytest.raises(PixelsError, match="to augment"):
            PRESETS["light"].apply(wrong, labels, images, 0, 1, CLASSES)
    with pytest.raises(PixelsError, match="23 labels"):
        PRESETS["light"].apply(pixels, labels[:-1], images, 0, 1, CLASSES)


def test_a_view_with_gaps_and_a_memory_map_are_accepted(tmp_path: Path) -> None:
    pixels, labels, images = batch((16, 20, 3))
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    expected, _ = PRESETS["strong"].apply(pixels, labels, images, 0, 1, CLASSES)
    np.testing.assert_array_equal(PRESETS["strong"].apply(mapped, labels, images, 0, 1, CLASSES)[0], expected)
    gaps = np.repeat(pixels, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(PRESETS["strong"].apply(gaps, labels, images, 0, 1, CLASSES)[0], expected)
    del mapped
