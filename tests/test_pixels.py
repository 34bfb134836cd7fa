"""Photos as pixels: decoded once and kept, in memory or mapped from a file, the same numbers either way."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from conftest import CLASSES, make_photos
from kopal import images, pixels
from kopal.datasets import open_dataset
from kopal.errors import OutputError
from kopal.fit.learner import Photographs
from kopal.fit.normalise import measure
from kopal.images import Geometry
from kopal.pipeline import train
from kopal.pixels import pixel_context, read_pixels
from kopal.recipes import recipe
from kopal.store import Store

LARGE, SMALL = Geometry(80, 80), Geometry(32, 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_photos(tmp_path / "photos", CLASSES, count=5)
    (made / CLASSES[0] / "1.jpg").write_bytes(b"no photo")
    return made


def test_the_second_time_nothing_is_decoded_and_every_pixel_is_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(tmp_path / "cache", pixel_context(LARGE), "|u1")) as store:
        first, bad = read_pixels(open_dataset(folder), LARGE, store)
    decoded: list[bytes] = []
    real = images.examine
    monkeypatch.setattr(images, "examine", lambda data, geometry: decoded.append(data) or real(data, geometry))
    with closing(Store(tmp_path / "cache", pixel_context(LARGE), "|u1")) as store:
        second, again = read_pixels(open_dataset(folder), LARGE, store)
    assert decoded == [b"no photo"]
    assert np.array_equal(first.pixels, second.pixels)
    assert [row.path for row in bad] == [row.path for row in again]
    assert first.names == second.names and len(first) == 14
    with closing(Store(tmp_path / "cache", pixel_context(SMALL), "|u1")) as store:
        read_pixels(open_dataset(folder), SMALL, store)
    assert len(decoded) == 1 + 15, "another geometry must miss, and small pixels are not kept"


def test_too_many_for_memory_are_mapped_and_are_the_same(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, _ = read_pixels(open_dataset(folder), LARGE)
    monkeypatch.setattr(pixels, "IN_MEMORY", 1000)
    before = set(cache.iterdir())
    mapped, _ = read_pixels(open_dataset(folder), LARGE)
    assert isinstance(mapped.pixels, np.memmap)
    assert np.array_equal(held.pixels, mapped.pixels)
    assert set(cache.iterdir()) == before, "the file has no name that could be left behind"
    rows = np.array([3, 1, 7])
    few = Photographs(mapped.pixels, mapped.labels[rows], rows)
    assert np.array_equal(few.take(np.array([2, 0])), held.pixels[[7, 3]])
    np.testing.assert_allclose(measure(few, "channel").mean, held.pixels[rows].mean(axis=(0, 1, 2)), rtol=1e-5)


def test_a_training_on_mapped_pixels_gives_the_same_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(net="mlp", image_size=16, epochs=2)
    held = train(folder, tmp_path / "held", made)
    monkeypatch.setattr(pixels, "IN_MEMORY", 0)
    assert train(folder, tmp_path / "mapped", made).classifier.digest == held.classifier.digest


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve a file's space")
def test_no_room_for_the_file_is_one_clear_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pixels, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="no space left") as caught:
        read_pixels(open_dataset(folder), LARGE)
    assert "KOPAL_CACHE" in caught.value.fix


def test_the_context_of_pixels_changes_with_what_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = {pixel_context(LARGE), pixel_context(SMALL), pixel_context(Geometry(80, 80, 1))}
    monkeypatch.setattr(pixels, "DECODER", pixels.DECODER + 1)
    assert len(contexts | {pixel_context(LARGE)}) == 4
