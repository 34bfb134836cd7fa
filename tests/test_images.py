"""Whatever a file holds, the decoder gives an upright uint8 array of the asked shape, or says why not."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import photo_bytes
from kopal import images
from kopal.errors import UnreadableImage, UsageError
from kopal.images import Geometry
from photo_bytes import encode, photo, png, samples, sixteen_bits

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)

SAMPLES = samples()
SQUARE = Geometry(32, 32)
FULL = Geometry(120, 160)


def near(one: np.ndarray, other: np.ndarray, mean: float = 3.0) -> bool:
    return one.shape == other.shape and float(np.abs(one.astype(int) - other.astype(int)).mean()) <= mean


@pytest.mark.parametrize("name", SAMPLES)
def test_every_promised_format_is_read_whatever_its_name_ends_in(name: str, tmp_path: Path) -> None:
    for ending in ("jpg", "PNG", "txt", ""):
        path = tmp_path / f"photo.{ending}"
        path.write_bytes(SAMPLES[name])
        pixels = images.read(path, SQUARE)
        assert pixels.shape == (32, 32, 3)
        assert pixels.dtype == np.uint8
        if "fax" not in name and "runs" not in name:
            wanted = photo().convert("L") if "grey" in name or "16" in name else photo()
            assert near(pixels, images.fit(wanted, SQUARE), 8 if "palette" in name or name == "gif" else 5)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX", "JPEG2000", "PDF", "EPS"])
def test_formats_off_the_list_are_refused_even_under_a_good_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(photo(64, 64), kind))
    with pytest.raises(UnreadableImage) as caught:
        images.read(path, SQUARE)
    assert caught.value.kind == "not-an-image"


@pytest.mark.parametrize(
    "data", [b"hello", b"<html><img src=a.jpg>", b"\0" * 999, b"\xff\xd8", b"RIFF0000WAVE", b"GIF"]
)
def test_what_is_not_an_image_is_named_so(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="by its content") as caught:
        images.read(data, SQUARE)
    assert caught.value.kind == "not-an-image"


def test_a_header_that_claims_too_many_pixels_is_refused_before_memory_is_taken() -> None:
    huge_webp = bytearray(encode(photo(16, 16), "WEBP", lossless=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"))
    assert huge_webp[12:16] == b"VP8X"
    huge_webp[24:30] = (16000).to_bytes(3, "little") * 2
    tracemalloc.start()
    for data in (photo_bytes.claims(20_000, 20_000), photo_bytes.claims(50_000_001, 1), bytes(huge_webp)):
        with pytest.raises(UnreadableImage) as caught:
            images.read(data, SQUARE)
        assert caught.value.kind in ("too-large", "damaged")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    with pytest.raises(UnreadableImage, match="20000 x 20000"):
        images.longest_side(photo_bytes.claims(20_000, 20_000))


def test_a_file_of_more_than_32_mb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    with open(path, "wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    with pytest.raises(UnreadableImage, match="32 MB") as caught:
        images.read(path, SQUARE)
    assert caught.value.kind == "too-large"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_in_any_of_the_eight_orientations_is_upright(kind: str, orientation: int) -> None:
    upright = photo()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = encode(stored, kind, exif=exif, **options)
    assert near(images.read(data, FULL), np.asarray(upright))
    assert images.longest_side(data) == 160


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_leaves_the_photo_as_it_is(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert near(images.read(encode(photo(), "PNG", exif=exif), FULL), np.asarray(photo()), 0)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    assert near(images.read(SAMPLES["jpeg cmyk"], FULL), np.asarray(photo()), 4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    deep = sixteen_bits(np.arange(256).reshape(16, 16) * 257)
    grey = images.read(encode(deep, kind), Geometry(16, 16, 1))
    assert np.array_equal(grey.ravel(), np.arange(256))
    ends = encode(sixteen_bits(np.array([[0, 65535]])), kind)
    assert images.read(ends, Geometry(1, 2, 1)).ravel().tolist() == [0, 255]


def test_a_big_endian_sixteen_bit_tiff_is_scaled_too() -> None:
    values = np.array([[0, 257 * 100, 65535]], ">u2")
    entries = [(256, 3), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 6)]
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHIHH", tag, 3, 1, v, 0) for tag, v in entries)
    data = b"MM\0*" + struct.pack(">I", 14) + values.tobytes() + directory + bytes(4)
    assert images.read(data, Geometry(1, 3, 1)).ravel().tolist() == [0, 100, 255]


def test_pixels_without_a_fixed_range_are_refused_with_the_reason() -> None:
    for values in (np.ones((4, 4), np.float32), np.ones((4, 4), np.int32), np.full((4, 4), -70_000, np.int32)):
        with pytest.raises(UnreadableImage, match="no fixed range") as caught:
            images.read(encode(Image.fromarray(values), "TIFF"), SQUARE)
        assert caught.value.kind == "unsupported"


def _transparent() -> dict[str, bytes]:
    """Two pixels each: what is seen through, then 200."""
    colour = Image.fromarray(np.array([[[10, 20, 30, 0], [200, 200, 200, 255]]], np.uint8))
    grey = Image.fromarray(np.array([[[10, 0], [200, 255]]], np.uint8))
    two, one, key = bytes([10, 200]), struct.pack(">H", 10), b"tRNS"
    return {
        "RGBA": encode(colour, "PNG"),
        "LA": encode(grey, "PNG"),
        "WEBP": encode(colour, "WEBP", lossless=True),
        "TIFF": encode(colour, "TIFF"),
        "palette": png(2, 1, 8, 3, [b"\0\1"], (b"PLTE", bytes([9] * 3 + [200] * 3)), (key, b"\0\xff")),
        "grey key": png(2, 1, 8, 0, [two], (key, one)),
        "RGB key": png(2, 1, 8, 2, [bytes([10] * 3 + [200] * 3)], (key, one * 3)),
        "RGB key of 16 bits": png(2, 1, 16, 2, [struct.pack(">6H", *[256] * 3, *[51400] * 3)], (key, b"\1\0" * 3)),
        "grey key of 16 bits": png(2, 1, 16, 0, [struct.pack(">HH", 2570, 51400)], (key, struct.pack(">H", 2570))),
    }


@pytest.mark.parametrize("name", _transparent())
def test_transparency_lies_over_white(name: str) -> None:
    for channels in (1, 3):
        pixels = images.read(_transparent()[name], Geometry(1, 2, channels))
        assert pixels[0, 0].tolist() == [255] * channels
        assert pixels[0, 1].tolist() == [200] * channels


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transparent_grey_is_found_at_any_depth_and_only_it(depth: int) -> None:
    top = (1 << depth) - 1
    row = bytes([(0 << (8 - depth) | top << (8 - 2 * depth)) & 255])
    first = png(2, 1, depth, 0, [row], (b"tRNS", struct.pack(">H", 0)))
    last = png(2, 1, depth, 0, [bytes([row[0] ^ (255 << (8 - 2 * depth) & 255)])], (b"tRNS", struct.pack(">H", top)))
    none = png(2, 1, depth, 0, [row])
    assert images.read(first, Geometry(1, 2, 1)).ravel().tolist() == [255, 255]
    assert images.read(last, Geometry(1, 2, 1)).ravel().tolist() == [255, 0]
    assert images.read(none, Geometry(1, 2, 1)).ravel().tolist() == [0, 255]


def test_half_transparency_is_mixed_with_white() -> None:
    half = Image.fromarray(np.array([[[0, 0, 0, 128]]], np.uint8))
    assert images.read(encode(half, "PNG"), Geometry(1, 1)).ravel().tolist() == [127] * 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    frames = [photo(), photo().transpose(Image.Transpose.ROTATE_180)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert near(images.read(data, FULL), np.asarray(frames[0]), 8)


def test_of_a_multi_picture_jpeg_the_first_is_read() -> None:
    second = photo().transpose(Image.Transpose.ROTATE_180)
    data = encode(photo(), "MPO", save_all=True, append_images=[second])
    assert data.count(b"\xff\xd8\xff") >= 2
    assert near(images.read(data, FULL), np.asarray(photo()))


def test_one_bit_is_black_and_white() -> None:
    bits = Image.fromarray(np.eye(8, dtype=bool))
    for kind in ("PNG", "TIFF", "BMP"):
        pixels = images.read(encode(bits, kind), Geometry(8, 8, 1))
        assert np.array_equal(pixels[..., 0], np.eye(8, dtype=np.uint8) * 255)


def test_a_large_jpeg_decoded_small_is_nearly_the_same() -> None:
    large = photo(1600, 1200)
    jpeg, lossless = encode(large, "JPEG", quality=95), encode(large, "BMP")
    assert near(images.read(jpeg, Geometry(96, 96)), images.read(lossless, Geometry(96, 96)), 2)
    assert max(images.decode(jpeg, Geometry(96, 96)).size) < 1600
    assert min(images.decode(jpeg, Geometry(96, 96, crop=0.5)).size) >= 192


def test_a_profile_or_comment_of_any_size_does_not_matter() -> None:
    with_text = png(2, 1, 8, 0, [b"\1\2"], (b"tEXt", b"k\0" + b"v" * 100_000), (b"iCCP", b"x\0\0junk"))
    assert images.read(with_text, Geometry(1, 2, 1)).ravel().tolist() == [1, 2]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_leaves_a_sound_photo_readable() -> None:
    data = encode(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert near(images.read(data, FULL), np.asarray(photo()))


sides = st.integers(1, 300)
geometries = st.builds(
    Geometry,
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.floats(0.01, 1),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)


@EXAMPLES
@given(sides, sides, geometries)
def test_the_box_lies_in_the_image_has_the_right_shape_and_is_as_large_as_crop_says(
    width: int, height: int, geometry: Geometry
) -> None:
    left, top, right, bottom = geometry.box(width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) / (bottom - top) == pytest.approx(geometry.width / geometry.height, rel=1e-6)
    assert max((right - left) / width, (bottom - top) / height) == pytest.approx(geometry.crop, rel=1e-6)
    assert left + right == pytest.approx(width, abs=1e-6)
    assert top + bottom == pytest.approx(height, abs=1e-6)


@settings(EXAMPLES, max_examples=60)
@given(sides, sides, geometries, st.sampled_from(["L", "RGB"]))
def test_any_image_becomes_the_shape_that_was_asked(width: int, height: int, geometry: Geometry, mode: str) -> None:
    pixels = images.fit(Image.new(mode, (width, height), 77 if mode == "L" else (77, 77, 77)), geometry)
    assert pixels.shape == geometry.shape
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert set(np.unique(pixels)) == {77}


@EXAMPLES
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]))
def test_an_image_of_the_right_size_is_left_as_it_is(height: int, width: int, filter_name: str) -> None:
    image = photo(width, height)
    assert np.array_equal(images.fit(image, Geometry(height, width, filter=filter_name)), np.asarray(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (1, 20_000), (20_000, 1)])
def test_images_one_pixel_wide_are_images(size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG", "BMP"):
        assert images.read(encode(photo(*size), kind), SQUARE).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "knobs",
    [(0, 5), (5, -1), (5000, 5), (5, 5, 2), (5, 5, 3, 0.0), (5, 5, 3, 1.1), (5, 5, 3, float("nan")), (5, 5, 3, 1, "x")],
)
def test_a_geometry_that_cannot_be_is_refused_when_it_is_made(knobs: tuple) -> None:
    with pytest.raises(UsageError):
        Geometry(*knobs)


def test_nothing_of_pillow_is_changed_and_no_file_either(tmp_path: Path) -> None:
    def state() -> tuple:
        limits = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK
        return *limits, list(Image.ID), sorted(Image.OPEN), Image._initialized

    before = state()
    for name, data in SAMPLES.items():
        path = tmp_path / name.replace(" ", "-")
        path.write_bytes(data)
        stamp = path.stat().st_mtime_ns
        images.read(path, SQUARE)
        images.read(data, SQUARE)
        assert path.read_bytes() == data
        assert path.stat().st_mtime_ns == stamp
    assert state() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(name.replace(" ", "-") for name in SAMPLES)


def test_the_same_bytes_give_the_same_pixels_from_path_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "žluťoučký kůň '🐴'.jpg"
    path.write_bytes(SAMPLES["jpeg"])
    for file in (path, str(path)):
        assert np.array_equal(images.read(file, SQUARE), images.read(SAMPLES["jpeg"], SQUARE))
