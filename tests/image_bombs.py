"""Pictures that are made to cost: sound by the letter of their format, each with one thing in it a million times.

`BOMBS` are the ones that no decoder should see, so they cost nothing to refuse. `LARGE` are pictures up to the limits,
which may be read: they say how much time and memory the worst sound file takes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from hostile_samples import tiff, written_tiff
from photo_bytes import bmp_runs, chunk, claims, encode, photo

SIDE = 7000
"""SIDE x SIDE are 49 million pixels, just below the limit."""


def jpeg_of_scans(width: int = 64, height: int = 64, scans: int = 20_000) -> bytes:
    """A progressive JPEG whose last scan, of few bytes, comes again and again."""
    data = encode(Image.new("RGB", (width, height), "grey"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def jpeg_of_segments(segment: bytes = b"\xff\xe3\0\2", count: int = 4_000_000) -> bytes:
    data = encode(photo(), "JPEG")
    return data[:2] + segment * count + data[2:]


def jpeg_of_exif() -> bytes:
    piece = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + b"x" * 4000
    return jpeg_of_segments(b"\xff\xe1" + struct.pack(">H", len(piece) + 2) + piece, 8000)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = encode(photo(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def png_with(*extra: tuple[bytes, bytes], times: int = 1) -> bytes:
    data = encode(photo(), "PNG")
    return data[:33] + b"".join(chunk(*one) for one in extra) * times + data[33:]


def directory_of(count: int, wide: bool = False) -> bytes:
    """EXIF whose every entry asks for the whole of it."""
    if wide:
        entry = struct.pack("<HHQQ", 0x9286, 7, 30_000_000, 0)
        return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, count) + entry * count + bytes(8)
    entry = struct.pack("<HHII", 0x9286, 7, 60_000, 0)
    return b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4)


def gif_with(before: bytes) -> bytes:
    data = encode(photo().quantize(64), "GIF")
    at = 13 + 3 * 64
    return data[:at] + before + data[at:]


def webp_claiming(side: int) -> bytes:
    data = bytearray(encode(photo(16, 16), "WEBP", lossless=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"))
    data[24:30] = (side - 1).to_bytes(3, "little") * 2
    return bytes(data)


def bmp_of_runs(width: int, height: int, body: bytes, four_bits: bool = True) -> bytes:
    data = bytearray(bmp_runs(8, 1))
    start = int.from_bytes(data[10:14], "little")
    data[18:26] = struct.pack("<ii", width, height)
    if four_bits:
        data[28:34] = struct.pack("<HI", 4, 2)
    return bytes(data[:start]) + body


def flat_tiff(**options: object) -> bytes:
    return encode(Image.new("L", (SIDE, SIDE), 7), "TIFF", **options)


def tiff_of_strips(count: int) -> bytes:
    """One pixel wide, as high as it has strips, all of them the same byte."""
    ones = {256: 1, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = {tag: (3, [number]) for tag, number in ones.items()}
    entries |= {257: (4, [count]), 273: (4, [8] * count), 279: (4, [1] * count)}
    return written_tiff(b"\7", entries)


def tiff_of_tags(count: int) -> bytes:
    entry = struct.pack("<HHII", 40_000, 7, 2000, 8)
    return b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4)


PIXELS = np.asarray(photo(100, 70))

BOMBS: dict[str, Callable[[], bytes]] = {
    "jpeg of 20 000 scans": jpeg_of_scans,
    "jpeg of 20 000 scans and 49 megapixels": lambda: jpeg_of_scans(SIDE, SIDE),
    "jpeg of 4 000 000 segments": jpeg_of_segments,
    "jpeg of 8 000 exif": jpeg_of_exif,
    "jpeg that claims 65500 x 65500": lambda: jpeg_claiming(65500, 65500),
    "png of 2 000 000 chunks": lambda: png_with((b"teSt", b""), times=2_000_000),
    "png of 2 000 000 texts": lambda: png_with((b"tEXt", b"k\0v"), times=2_000_000),
    "png that claims 65500 x 65500": lambda: claims(65500, 65500),
    "gif of 10 000 000 comments": lambda: gif_with(b"\x21\xfe\0" * 10_000_000),
    "gif of one comment in 10 000 000 blocks": lambda: gif_with(b"\x21\xfe" + b"\1x" * 10_000_000 + b"\0"),
    "gif of 30 000 000 stray bytes": lambda: gif_with(b"\1" * 30_000_000),
    "webp that claims 12000 x 12000": lambda: webp_claiming(12_000),
    "webp that claims 16000 x 16000": lambda: webp_claiming(16_000),
    "bmp of runs, 49 megapixels": lambda: bmp_of_runs(SIDE, SIDE, b"\xff\x12" * 200_000 + b"\0\1"),
    "bmp of runs, 30 MB": lambda: bmp_of_runs(200, 200, b"\0\0" * 15_000_000, four_bits=False),
    "bmp of one jump over 50 million columns": lambda: bmp_of_runs(49_000_000, 1, b"\0\2\xff\xff\0\1"),
    "tiff of 4 000 000 strips": lambda: tiff_of_strips(4_000_000),
    "tiff of one tile of 30000 x 30000": lambda: tiff(PIXELS, tile=(70, 100), _322=(4, [30_000]), _323=(4, [30_000])),
    "tiff of LZMA": lambda: tiff(PIXELS, _259=(3, [34925])),
    "tiff of Zstandard": lambda: tiff(PIXELS, _259=(3, [50000])),
    "tiff of 60 000 tags": lambda: tiff_of_tags(60_000),
}
"""All are refused."""

LARGE: dict[str, Callable[[], bytes]] = {
    "jpeg, 49 megapixels": lambda: encode(Image.new("RGB", (SIDE, SIDE), "grey"), "JPEG"),
    "jpeg progressive cmyk, 49 megapixels": lambda: encode(Image.new("CMYK", (SIDE, SIDE)), "JPEG", progressive=True),
    "jpeg of 90 scans, 49 megapixels": lambda: jpeg_of_scans(SIDE, SIDE, 80),
    "jpeg of 900 exif": lambda: jpeg_of_segments(b"\xff\xe1\x80\x0aExif\0\0" + b"x" * 0x8002, 900),
    "png alpha, 49 megapixels": lambda: encode(Image.new("RGBA", (SIDE, SIDE)), "PNG"),
    "png palette, 49 megapixels": lambda: encode(Image.new("P", (SIDE, SIDE)), "PNG", transparency=0),
    "png 16 bits, 49 megapixels": lambda: encode(Image.new("I;16", (SIDE, SIDE)), "PNG"),
    "png turned, 49 megapixels": lambda: encode(Image.new("RGBA", (SIDE, SIDE)), "PNG", exif=turned()),
    "png of 99 000 chunks": lambda: png_with((b"tEXt", b"k\0v"), times=99_000),
    "png with a profile of 500 MB": lambda: png_with((b"iCCP", b"p\0\0" + deflated(500))),
    "png with a text of 500 MB": lambda: png_with((b"zTXt", b"k\0\0" + deflated(500))),
    "png with 100 texts of 1 MB": lambda: png_with((b"zTXt", b"k\0\0" + deflated(1)), times=100),
    "png exif of 60 000 entries": lambda: png_with((b"eXIf", directory_of(60_000))),
    "png exif of 1 000 000 entries": lambda: png_with((b"eXIf", directory_of(1_000_000, wide=True))),
    "png of pixels that go on": lambda: claims(100, 100).replace(b"IEND", b"iEND") + png_tail(),
    "gif, 49 megapixels": lambda: encode(Image.new("P", (SIDE, SIDE)), "GIF", transparency=0),
    "gif of 99 000 blocks": lambda: gif_with(b"\x21\xfe" + b"\xff" + b"x" * 255 + b"\1x" * 98_000 + b"\0"),
    "gif of 20 000 frames": lambda: encode(photo(8, 8), "GIF", save_all=True, append_images=[photo(8, 8)]) * 1000,
    "webp, 49 megapixels": lambda: encode(Image.new("RGB", (SIDE, SIDE)), "WEBP", method=0),
    "webp lossless alpha, 49 megapixels": lambda: encode(
        Image.new("RGBA", (SIDE, SIDE)), "WEBP", lossless=True, method=0
    ),
    "webp exif of 1 000 000 entries": lambda: encode(photo(8, 8), "WEBP", exif=directory_of(1_000_000, wide=True)),
    "bmp, 10 megapixels": lambda: encode(Image.new("RGB", (3200, 3200)), "BMP"),
    "bmp of runs, 15 megapixels": lambda: bmp_of_runs(3900, 3900, (b"\xff\x12" * 16 + b"\0\0") * 3900 + b"\0\1"),
    "tiff deflate, 49 megapixels": lambda: flat_tiff(compression="tiff_adobe_deflate"),
    "tiff lzw, 49 megapixels": lambda: flat_tiff(compression="tiff_lzw"),
    "tiff fax, 49 megapixels": lambda: encode(Image.new("1", (SIDE, SIDE)), "TIFF", compression="group4"),
    "tiff of 99 000 strips": lambda: tiff_of_strips(99_000),
    "tiff of 4 000 tags": lambda: tiff_of_tags(4_000),
    "tiff of a tile of 6900 x 6900": lambda: tiff(PIXELS, tile=(70, 100), _322=(4, [6912]), _323=(4, [6912])),
    "tiff of a strip of 4 000 000 000 rows": lambda: tiff(PIXELS, _278=(4, [4_000_000_000])),
    "tiff lzw of a strip of 4 000 000 000 rows": lambda: tiff(PIXELS, _278=(4, [4_000_000_000]), _259=(3, [5])),
}
"""Read or refused, in bounded time and memory."""


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def deflated(megabytes: int) -> bytes:
    file, packer = io.BytesIO(), zlib.compressobj()
    for _ in range(megabytes):
        file.write(packer.compress(bytes(1_000_000)))
    file.write(packer.flush())
    return file.getvalue()


def png_tail() -> bytes:
    return chunk(b"IDAT", deflated(300)) + chunk(b"IEND", b"")
