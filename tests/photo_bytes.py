"""Photos as bytes, in every format and many ways of writing them, made by the tests themselves."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """Smooth like a photo, so that lossy formats and smaller scales stay near it; no two corners alike."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def sixteen_bits(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes], *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG from its parts, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks)


def samples() -> dict[str, bytes]:
    """One sound file for each format and way of coding that we promise to read."""
    image = photo()
    grey, palette, ink, bits = image.convert("L"), image.quantize(64), image.convert("CMYK"), image.convert("1")
    deep = sixteen_bits(np.asarray(grey).astype(int) * 257)
    return {
        "jpeg": encode(image, "JPEG"),
        "jpeg progressive": encode(image, "JPEG", progressive=True),
        "jpeg restarts": encode(image, "JPEG", restart_marker_rows=1),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg cmyk": encode(ink, "JPEG"),
        "png": encode(image, "PNG"),
        "png 16 bits": encode(deep, "PNG"),
        "png palette": encode(palette, "PNG"),
        "webp": encode(image, "WEBP"),
        "webp lossless": encode(image, "WEBP", lossless=True),
        "gif": encode(palette, "GIF"),
        "bmp": encode(image, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp runs": bmp_runs(32, 20),
        "tiff": encode(image, "TIFF"),
        "tiff 16 bits": encode(deep, "TIFF"),
        "tiff lzw": encode(image, "TIFF", compression="tiff_lzw", strip_size=8000),
        "tiff deflate": encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiff packbits": encode(image, "TIFF", compression="packbits"),
        "tiff jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff fax": encode(bits, "TIFF", compression="group4"),
    }


def bmp_runs(width: int, height: int) -> bytes:
    """A run-length coded BMP, which Pillow reads and does not write."""
    row = bytes([width // 2, 3, 0, 4, 1, 2, 3, 4, width // 2 - 4, 5, 0, 0])
    body = row * height + b"\0\1"
    palette = b"".join(bytes([index * 30, index * 20, index * 10, 0]) for index in range(8))
    offset = 14 + 40 + len(palette)
    start = b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset)
    return start + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 8, 8) + palette + body


def claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims to be huge."""
    return png(width, height, 8, 2, [b""])
