"""Hostile pictures: the process lives, nothing but `UnreadableImage` comes out, time and memory stay bounded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import image_bombs
from hostile_images import WAYS, hostile, sound
from hostile_reader import FINDINGS, Outcome, outcomes
from kopal import images
from kopal.datasets import open_dataset
from kopal.errors import UnreadableImage
from kopal.features import read
from kopal.images import Geometry
from kopal.images.gif import MAX_BLOCKS
from kopal.images.jpeg import MAX_SCANS, MAX_SEGMENTS
from kopal.images.libtiff import _setter
from kopal.images.png import MAX_CHUNKS
from kopal.images.tiff import MAX_STRIPS
from kopal.images.webp import ZEROS
from kopal.pixels import read_pixels
from photo_bytes import encode, photo

SQUARE = Geometry(64, 64)
MEGABYTES = 1500


def told(files: list[bytes]) -> list[Outcome]:
    return list(outcomes(files, "pictures", MEGABYTES))


def reason(data: bytes) -> tuple[str, str]:
    with pytest.raises(UnreadableImage) as caught:
        images.read(data, SQUARE)
    return caught.value.kind, caught.value.happened


def pixel_digest(data: bytes) -> str:
    return hashlib.sha256(images.read(data, SQUARE).tobytes()).hexdigest()


@pytest.mark.parametrize("name", sound())
def test_the_pictures_that_are_changed_are_read_as_they_are(name: str) -> None:
    assert images.read(sound()[name], SQUARE).shape == SQUARE.shape


def test_hostile_pictures_are_read_or_refused_and_cut_ones_are_noticed() -> None:
    made = list(hostile(seed=1, count=len(sound()) * len(WAYS) * 2))
    found = told([one.data for one in made])
    assert [(one.kind, one.way, out.words) for one, out in zip(made, found, strict=True) if out.finding] == []
    whole = {name: pixel_digest(data) for name, data in sound().items()}
    missed = [
        (one.kind, len(one.data))
        for one, out in zip(made, found, strict=True)
        if one.way == "cut" and out.kind == "read" and out.digest != whole[one.kind]
    ]
    assert missed == []
    # The search would be empty if everything were refused by its first bytes.
    assert {"read", "damaged", "truncated", "too-large", "not-an-image"} <= {out.kind for out in found}


@pytest.mark.parametrize("name", image_bombs.BOMBS)
def test_a_bomb_is_refused_before_any_decoder_sees_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_bombs.BOMBS[name]()
    monkeypatch.setattr(Image.core, "new", lambda *given: pytest.fail("memory was taken for its pixels"))
    kind, words = reason(data)
    assert kind in ("too-large", "unsupported", "damaged")
    assert len(words) < 200


@pytest.mark.parametrize(
    ("harmless", "bomb"),
    [
        (lambda: image_bombs.jpeg_of_scans(scans=MAX_SCANS - 20), lambda: image_bombs.jpeg_of_scans(scans=MAX_SCANS)),
        (
            lambda: image_bombs.jpeg_of_segments(count=MAX_SEGMENTS - 20),
            lambda: image_bombs.jpeg_of_segments(count=MAX_SEGMENTS),
        ),
        (
            lambda: image_bombs.png_with((b"teSt", b""), times=MAX_CHUNKS - 20),
            lambda: image_bombs.png_with((b"teSt", b""), times=MAX_CHUNKS),
        ),
        (
            lambda: image_bombs.gif_with(b"\1" * (MAX_BLOCKS - 20)),
            lambda: image_bombs.gif_with(b"\1" * (MAX_BLOCKS + 1)),
        ),
        (lambda: image_bombs.tiff_of_strips(2000), lambda: image_bombs.tiff_of_strips(MAX_STRIPS + 1)),
        (lambda: image_bombs.bmp_of_runs(90, 9, b"\x5a\x12\0\0" * 9), lambda: image_bombs.bmp_of_runs(9000, 9000, b"")),
    ],
    ids=["scans", "segments", "chunks", "blocks", "strips", "runs"],
)
def test_what_is_below_a_limit_is_read_and_what_is_above_is_not(harmless: object, bomb: object) -> None:
    assert images.read(harmless(), SQUARE).shape == SQUARE.shape
    assert reason(bomb())[0] == "too-large"


def test_a_picture_of_49_megapixels_stays_in_its_memory() -> None:
    first, second = told([sound()["png alpha"], image_bombs.LARGE["gif, 49 megapixels"]()])
    assert second.kind == "read"
    assert second.megabytes - first.megabytes < 1200


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    module = import_module("kopal.images.decode")
    inside, most, guard = [0], [0], threading.Lock()
    upright = module._upright

    def counted(image: Image.Image) -> Image.Image:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.02)
        with guard:
            inside[0] -= 1
        return upright(image)

    monkeypatch.setattr(module, "_upright", counted)
    monkeypatch.setattr(module, "LARGE_PIXELS", 100)
    threads = [threading.Thread(target=images.read, args=(sound()["png"], SQUARE)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def flat_pictures() -> list[Image.Image]:
    """Pictures that as WEBPs may well end in zeros: of one colour, or half dark."""
    half = np.zeros((256, 320, 3), np.uint8)
    half[:128] = np.random.default_rng(0).integers(0, 256, (128, 320, 3))
    colours = [Image.new("RGB", (1000, 1000), colour) for colour in ("black", "white", "#123456")]
    return [*colours, Image.fromarray(half), Image.fromarray(half[::-1].copy()), Image.new("RGBA", (500, 500)), photo()]


@pytest.mark.parametrize("lossless", [False, True])
def test_a_sound_webp_is_read_though_it_ends_in_zeros(lossless: bool) -> None:
    ends = []
    for method in (0, 4, 6):
        for picture in flat_pictures():
            data = encode(picture, "WEBP", lossless=lossless, method=method)
            ends.append(len(data) - len(data.rstrip(b"\0")))
            assert images.read(data, SQUARE).shape == SQUARE.shape
    assert max(ends) > ZEROS or lossless


@pytest.mark.parametrize("name", ["webp", "webp lossless", "webp alpha", "webp several"])
def test_a_webp_that_was_given_its_length_and_never_filled_is_truncated(name: str) -> None:
    data = sound()[name]
    start = data.index(b"VP8", 16) + 8 if data[12:16] == b"VP8X" else 20
    size = int.from_bytes(data[start - 4 : start], "little")
    for share in (0.2, 0.4, 0.6, 0.8, 0.9):
        at = start + int(size * share)
        if start + size - at > 2 * ZEROS:
            assert reason(data[:at] + bytes(len(data) - at))[0] in ("truncated", "damaged")


@pytest.mark.skipif(_setter() is None, reason="this build of Pillow does not show libtiff's functions")
def test_libtiff_keeps_its_thoughts_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(0)
    for name in ("tiff lzw", "tiff deflate", "tiff fax", "tiff jpeg", "tiff packbits", "tiff tiles deflate"):
        data = bytearray(sound()[name])
        for at in range(60, min(len(data), 3000), 7):
            data[at] = dice.randrange(256)
        with contextlib.suppress(UnreadableImage):
            images.read(bytes(data), SQUARE)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(_setter() is None, reason="this build of Pillow does not show libtiff's functions")
def test_libtiff_speaks_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    import io

    data = bytearray(sound()["tiff lzw"])
    data[100:2000] = bytes(1900)
    with pytest.raises(UnreadableImage):
        images.read(bytes(data), SQUARE)
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match="decoder error"):
        Image.open(io.BytesIO(bytes(data))).load()
    assert capfd.readouterr().err != ""


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for number, (name, data) in enumerate(files.items()):
        folder = root / "photos" / ("one", "two")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(data)
    return root / "photos"


def tree_digest(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_hostile_pictures_is_left_as_it_is_and_the_ledger_has_every_bad_one(tmp_path: Path) -> None:
    files = {f"{number}": one.data for number, one in enumerate(hostile(2, 150))}
    folder = folder_of(tmp_path, {**files, **{f"good{number}": encode(photo(), "JPEG") for number in range(6)}})
    before = tree_digest(folder)
    dataset = open_dataset(str(folder))
    photos, ledger = read_pixels(dataset, SQUARE)
    assert len(photos) + len(ledger) == len(dataset) == len(before)
    assert tree_digest(folder) == before
    bad = {row.path: row for row in ledger}
    for index, name in enumerate(dataset.names):
        try:
            images.read(dataset.read(index), SQUARE)
        except UnreadableImage as error:
            assert (bad[name].kind, bad[name].reason) == (error.kind, error.happened)
            assert bad[name].sha256 == hashlib.sha256(dataset.read(index)).hexdigest()
        else:
            assert name not in bad


class Recorder:
    """An extractor whose features are the mean of the pixels."""

    geometry, dimension, context = SQUARE, 1, b"mean"

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1).mean(axis=1, keepdims=True).astype(np.float32)


@pytest.mark.parametrize("way", ["pixels", "features"])
def test_a_file_that_goes_bad_between_the_scan_and_the_decoding_is_set_aside_and_counted(
    tmp_path: Path, way: str
) -> None:
    good = encode(photo(300, 200), "JPEG")
    names = ["gone", "cut", "emptied", "folder", "other", "shut", *(f"good{number}" for number in range(6))]
    folder = folder_of(tmp_path, dict.fromkeys(names, good))
    dataset = open_dataset(str(folder))
    paths = {path.stem: path for path in folder.rglob("*.jpg")}
    paths["gone"].unlink()
    paths["cut"].write_bytes(good[:-200])
    paths["emptied"].write_bytes(b"")
    paths["folder"].unlink()
    paths["folder"].mkdir()
    paths["other"].write_bytes(b"words")
    paths["shut"].chmod(0)
    closed = not os.access(paths["shut"], os.R_OK)
    photos, ledger = read_pixels(dataset, SQUARE) if way == "pixels" else read(dataset, Recorder(), None)
    paths["shut"].chmod(0o600)
    kinds = {Path(row.path).stem: row.kind for row in ledger}
    wanted = {
        "gone": "missing",
        "cut": "truncated",
        "emptied": "empty",
        "folder": "not-a-file",
        "other": "not-an-image",
    }
    assert kinds == wanted | ({"shut": "no-access"} if closed else {})
    assert len(photos) + len(ledger) == len(names)
    assert all(row.reason and row.class_name in ("one", "two") for row in ledger)


def test_the_search_would_notice_a_crash_a_hang_and_a_stray_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    crash, finding = (
        Outcome("crash", "exit code -11", 0.1, 0),
        Outcome("damaged", "cannot be decoded: MemoryError", 0, 0),
    )
    assert all(Outcome(kind, "", 0, 0).finding for kind in FINDINGS)
    assert crash.finding
    assert finding.finding
    assert not Outcome("damaged", "cannot be decoded: broken", 0, 0).finding


def test_the_same_seed_makes_the_same_files() -> None:
    first, again, other = (list(hostile(seed, 100)) for seed in (3, 3, 4))
    assert first == again != other
