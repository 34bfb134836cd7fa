"""From a file's bytes to uint8 pixels, by calling Pillow's plugins directly: no format off our list is ever tried."""

from __future__ import annotations

import io
import math
import os
import stat
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from kopal.arrays import Pixels
from kopal.errors import UnreadableImage
from kopal.images.facts import Facts, facts
from kopal.images.fault import MAX_PIXELS, too_many_pixels
from kopal.images.formats import recognise
from kopal.images.geometry import FILTERS, Geometry
from kopal.images.libtiff import muted
from kopal.images.webp import shortened

MAX_BYTES = 32 * 1024 * 1024
FULL_SIDE = 64

LARGE_PIXELS = MAX_PIXELS // 4
_one_large = threading.Lock()
"""Held while a picture of more than LARGE_PIXELS is decoded: it takes up to 16 bytes a pixel for a moment, and as many
of them as there are workers could take more memory than there is."""

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A regular file's content, at most 32 MB. Raises `UnreadableImage` (missing, not-a-file, too-large, no-access)."""
    try:
        # O_NONBLOCK is not everywhere; a look before opening keeps us from waiting on a named pipe.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("not-a-file", "not a regular file")
        if status.st_size > MAX_BYTES:
            raise UnreadableImage("too-large", f"{status.st_size / 1e6:.0f} MB; the limit is {MAX_BYTES >> 20} MB")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UnreadableImage("missing", "no such file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableImage("no-access", reason.lower()) from error
    if len(data) > MAX_BYTES:
        raise UnreadableImage("too-large", f"more than {MAX_BYTES >> 20} MB")
    return data


def read(file: str | os.PathLike[str] | bytes, geometry: Geometry) -> Pixels:
    """A photo, as path or bytes, → pixels (H, W, C) uint8. Raises `UnreadableImage`."""
    data = file if isinstance(file, bytes) else read_bytes(Path(file))
    return fit(decode(data, geometry), geometry)


def decode(data: bytes, geometry: Geometry | None = None) -> Image.Image:
    """A photo's bytes → an upright Pillow image in mode L or RGB. Raises `UnreadableImage`.

    Given a geometry, a JPEG is decoded at the smallest of its scales 1, 1/2, 1/4, 1/8 that still covers the resize.
    """
    return _decoded(_open(data), data, geometry)


def examine(data: bytes, geometry: Geometry | None = None) -> tuple[Image.Image, Facts]:
    """As `decode`, with what the file itself says of its picture. Raises `UnreadableImage`."""
    opened = _open(data)
    size, mode = opened.size, opened.mode
    return _decoded(opened, data, geometry), facts(opened, size, mode)


def longest_side(data: bytes) -> int:
    """A photo's longer side in pixels, from its header alone. Raises `UnreadableImage`."""
    return max(_open(data).size)


def fit(image: Image.Image, geometry: Geometry) -> Pixels:
    """An upright image of mode L or RGB → pixels (H, W, C): centre crop and resize in one step."""
    mode = "RGB" if geometry.channels == 3 else "L"
    if image.mode != mode:  # else Pillow would copy it
        image = image.convert(mode)
    size = (geometry.width, geometry.height)
    if image.size != size or geometry.crop != 1:
        image = image.resize(size, FILTERS[geometry.filter], box=geometry.box(*image.size))
    return np.array(image, np.uint8).reshape(geometry.shape)


def _open(data: bytes) -> ImageFile.ImageFile:
    """The right plugin's image, header read, limits and end-of-file marker checked, pixels not yet decoded."""
    if not data:
        raise UnreadableImage("empty", "0 bytes")
    known = recognise(data)
    if known is None:
        if data[4:8] == b"ftyp":
            raise UnreadableImage("not-an-image", "a HEIC or AVIF picture or a film: save it as JPEG")
        raise UnreadableImage("not-an-image", "not a JPEG, PNG, WEBP, GIF, BMP or TIFF by its content")
    if fault := known.fault(data):
        raise UnreadableImage(*fault)
    try:
        image = known.plugin(io.BytesIO(data))
        width, height = image.size
    except Exception as error:  # as in `decode`
        raise UnreadableImage("damaged", f"damaged {known.name} header: {_first_line(error)}") from error
    if fault := too_many_pixels(width, height):
        raise UnreadableImage(*fault)
    return image


def _decoded(image: ImageFile.ImageFile, data: bytes, geometry: Geometry | None) -> Image.Image:
    whole = image.size
    try:
        if geometry is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            _decode_smaller(image, geometry)
        with _turn(image, whole), muted() if isinstance(image, TiffImagePlugin.TiffImageFile) else nullcontext():
            image.load()
            if isinstance(image, WebPImagePlugin.WebPImageFile):
                _refuse_spare_zeros(data)
            if isinstance(image, PngImagePlugin.PngImageFile):
                _scale_transparent_colour(image, data[24])
            if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode == "I":
                raise UnreadableImage("unsupported", "32-bit pixels have no fixed range: save as 8 or 16 bits")
            return _to_eight_bits(_upright(image))
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file; all of it means the same
        raise UnreadableImage(*_reason(error)) from error


def _turn(image: ImageFile.ImageFile, whole: tuple[int, int]) -> AbstractContextManager[object]:
    # A progressive JPEG is held whole, whatever scale it is decoded at.
    width, height = whole if "progressive" in image.info else image.size
    return _one_large if width * height > LARGE_PIXELS else nullcontext()


def _decode_smaller(image: JpegImagePlugin.JpegImageFile, geometry: Geometry) -> None:
    # Before loading the picture may still lie on its side: ask for enough along either side.
    side = math.ceil(max(geometry.height, geometry.width) / geometry.crop)
    # Small pictures are cheap, and training keeps them whole to choose a geometry later.
    if max(image.size) > FULL_SIDE:
        image.draft(None, (side, side))


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Every viewer shows a sound picture with damaged EXIF as it is stored; so do we.
        return image
    return image if turn is None else image.transpose(turn)


def _refuse_spare_zeros(data: bytes) -> None:
    if (short := shortened(data)) is None:
        return
    try:
        WebPImagePlugin.WebPImageFile(io.BytesIO(short)).load()
    except Exception:  # as in `decode`; here it says that every byte is needed
        return
    raise UnreadableImage("truncated", "the WEBP goes over into zeros: it was never written to its end")


def _scale_transparent_colour(image: PngImagePlugin.PngImageFile, depth: int) -> None:
    # A PNG names its transparent colour at its own depth; Pillow compares it with samples of 8 bits.
    colour = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(colour, int):
        image.info["transparency"] = colour * 255 // ((1 << depth) - 1)
    elif depth == 16 and isinstance(colour, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in colour)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Any mode → L or RGB: 16 bits scaled to 8, transparency laid over white, palettes and inks resolved."""
    if image.mode.startswith("I"):
        return _scale_sixteen_bits(image)
    if image.mode in ("1", "L", "RGB"):
        if "transparency" not in image.info:
            return image.convert("L") if image.mode == "1" else image
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode == "F":
        raise UnreadableImage("unsupported", "floating-point pixels have no fixed range: save as 8 or 16 bits")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    if image.mode in ("RGBA", "LA"):
        mode = "RGB" if image.mode == "RGBA" else "L"
        over = Image.new(mode, image.size, "white")
        over.paste(image, mask=image)
        return over
    return image.convert("RGB")


def _scale_sixteen_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise UnreadableImage("unsupported", "32-bit pixels have no fixed range: save as 8 or 16 bits")
    scaled = np.empty(values.shape, np.uint8)
    for rows in range(0, len(values), step := max(1, 1_000_000 // max(1, values.shape[1]))):
        scaled[rows : rows + step] = (values[rows : rows + step].astype(np.uint32) + 128) // 257
    if "transparency" in image.info:
        scaled[values == image.info["transparency"]] = 255
    return Image.fromarray(scaled)


def _reason(error: BaseException) -> tuple[str, str]:
    text = _first_line(error)
    if "truncated" in text or "unexpected end" in text.lower() or isinstance(error, EOFError):
        return "truncated", f"the file ends too early: {text}"
    return "damaged", f"cannot be decoded: {text}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
