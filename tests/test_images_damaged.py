"""A damaged file is an error with its reason: never grey, never another picture, never another exception."""

from __future__ import annotations

import os
import random
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kopal import images
from kopal.errors import UnreadableImage
from kopal.images import Geometry
from photo_bytes import chunk, encode, photo, samples

SAMPLES = samples()
SQUARE = Geometry(32, 32)
SEVERAL_FRAMES = {
    kind: encode(photo(), kind, save_all=True, append_images=[photo().transpose(Image.Transpose.ROTATE_180)])
    for kind in ("GIF", "PNG", "WEBP", "MPO")
}


def reason(file: bytes | Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        images.read(file, SQUARE)
    assert caught.value.happened
    return caught.value.kind


def quiet(data: bytes) -> np.ndarray | None:
    """Pixels or None. Pillow may warn of damaged metadata; that is its matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return images.read(data, SQUARE)
        except UnreadableImage:
            return None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_anywhere_is_an_error_and_never_a_part_of_the_picture(name: str) -> None:
    data = SAMPLES[name]
    whole = images.read(data, SQUARE)
    for at in [*(len(data) * step // 60 for step in range(60)), len(data) - 3]:
        pixels = quiet(data[:at])
        # Only a few bytes of padding after the last pixel may be missed.
        assert pixels is None or (at >= len(data) - 4 and np.array_equal(pixels, whole)), at


@pytest.mark.parametrize("kind", SEVERAL_FRAMES)
def test_a_cut_file_of_several_frames_gives_the_whole_first_frame_or_an_error(kind: str) -> None:
    data = SEVERAL_FRAMES[kind]
    whole = images.read(data, SQUARE)
    for at in range(0, len(data), max(1, len(data) // 60)):
        pixels = quiet(data[:at])
        assert pixels is None or np.array_equal(pixels, whole), at


@pytest.mark.parametrize("name", SAMPLES)
def test_random_damage_gives_pixels_or_the_one_error(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(name)
    for _ in range(150):
        damaged = bytearray(SAMPLES[name])
        for _ in range(dice.choice([1, 1, 2, 8])):
            damaged[dice.randrange(dice.choice([min(len(damaged), 200), len(damaged)]))] = dice.randrange(256)
        pixels = quiet(bytes(damaged))
        assert pixels is None or (pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8)
        with warnings.catch_warnings():
            # Also where the caller has made warnings errors.
            warnings.simplefilter("error")
            try:
                images.read(bytes(damaged), SQUARE)
            except UnreadableImage as error:
                assert error.kind in {"damaged", "truncated", "not-an-image", "too-large", "unsupported"}
    capfd.readouterr()  # libtiff writes what it thinks of the file


def test_the_end_marker_of_the_thumbnail_does_not_hide_that_the_photo_is_cut() -> None:
    exif = b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0\0\0\0\0" + encode(photo(40, 30), "JPEG")
    data = encode(photo(), "JPEG", exif=exif)
    assert data.count(b"\xff\xd9") == 2
    assert images.read(data, SQUARE).shape == (32, 32, 3)
    start = data.rindex(b"\xff\xda")
    for at in range(start, len(data), (len(data) - start) // 20):
        assert reason(data[:at]) == "truncated"


def test_an_end_marker_inside_a_table_or_comment_does_not_hide_a_cut() -> None:
    data = SAMPLES["jpeg progressive"]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe\0\x06\xff\xd9\xff\xd9"
    scan = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    with_comment = data[:scan] + comment + data[scan:]
    assert np.array_equal(images.read(with_comment, SQUARE), images.read(data, SQUARE))
    assert reason(with_comment[: second + 100]) == "truncated"


def test_a_file_whose_end_was_never_written_is_an_error() -> None:
    # WEBP has neither a checksum nor codes that zeros would break: there the decoder cannot tell.
    for name in ("jpeg", "jpeg progressive", "png", "gif", "tiff lzw", "tiff jpeg"):
        data = SAMPLES[name]
        half = len(data) // 2
        zeros = quiet(data[:half] + bytes(len(data) - half))
        assert zeros is None, name


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("rest", [b"\0" * 999, b"\xff\xd9\xff\xd8 and then a film \xff\xda", b"GIF89a;PK\3\4"])
def test_what_follows_the_end_of_a_picture_does_not_matter(name: str, rest: bytes) -> None:
    assert np.array_equal(images.read(SAMPLES[name] + rest, SQUARE), images.read(SAMPLES[name], SQUARE))


def test_a_bmp_that_lies_about_its_size_is_read_as_every_viewer_reads_it() -> None:
    data = SAMPLES["bmp"]
    for size in (0, 14, 2**32 - 1):
        lying = data[:2] + size.to_bytes(4, "little") + data[6:]
        assert np.array_equal(images.read(lying, SQUARE), images.read(data, SQUARE))


def test_a_png_without_its_last_chunk_is_an_error() -> None:
    end = chunk(b"IEND", b"")
    assert reason(SAMPLES["png"].replace(end, b"")) == "truncated"


def test_what_is_no_file_has_its_own_kind(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "empty"
    assert reason(b"") == "empty"
    assert reason(tmp_path) == "not-a-file"
    assert reason(tmp_path / "nothing.jpg") == "missing"
    assert reason(tmp_path / "empty.jpg" / "below.jpg") == "no-access"
    assert reason(tmp_path / "a\0b.jpg") == "no-access"
    assert reason(tmp_path / ("x" * 5000)) == "no-access"


def test_links_that_lead_nowhere_are_errors_and_others_are_followed(tmp_path: Path) -> None:
    sound, dangling, loop, good = (tmp_path / name for name in ("sound.png", "dangling", "loop", "good"))
    sound.write_bytes(SAMPLES["png"])
    try:
        dangling.symlink_to(tmp_path / "gone")
        loop.symlink_to(loop)
        good.symlink_to(sound)
    except OSError:
        pytest.skip("this system gives no symbolic links")
    assert reason(dangling) == "missing"
    assert reason(loop) == "no-access"
    assert images.read(good, SQUARE).shape == (32, 32, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    kinds: list[str] = []
    reader = threading.Thread(target=lambda: kinds.append(reason(pipe)), daemon=True)
    reader.start()
    reader.join(5)
    assert kinds == ["not-a-file"]


def test_the_error_survives_the_way_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(UnreadableImage("damaged", "it is")))
    assert (error.kind, error.happened, str(error)) == ("damaged", "it is", "it is")
