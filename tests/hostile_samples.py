"""Sound pictures of the kinds that `photo_bytes` does not have, some of which no library here writes: made by hand.

A TIFF is written from its tags, a PNG row by row of its seven passes, a BMP field by field.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

from photo_bytes import chunk, encode, photo, png, samples, sixteen_bits


def all_samples() -> dict[str, bytes]:
    """One sound file of every format and way of coding; the first word of its name is the format."""
    image = photo()
    turned = photo().transpose(Image.Transpose.ROTATE_180)
    veiled = photo().convert("RGBA")
    veiled.putalpha(photo().convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    several = {"save_all": True, "append_images": [turned, photo().convert("L").convert("RGB")]}
    palette = image.quantize(64)
    return {
        **samples(),
        "jpeg exif": encode(image, "JPEG", exif=exif, comment=b"x" * 300),
        "jpeg full colour": encode(image, "JPEG", subsampling=0, quality=95),
        "jpeg several": encode(image, "MPO", **several),
        "jpeg large": encode(photo(1000, 800), "JPEG", quality=60),
        "png interlaced": interlaced_png(np.asarray(photo(61, 43))),
        "png alpha": encode(veiled, "PNG"),
        "png grey alpha": encode(veiled.convert("LA"), "PNG"),
        "png palette transparent": encode(palette, "PNG", transparency=3),
        "png one bit": encode(image.convert("1"), "PNG"),
        "png 16 bits of colour": png(9, 5, 16, 2, [bytes(range(54))] * 5),
        "png several": encode(image, "PNG", **several),
        "gif several": encode(image, "GIF", **several),
        "webp several": encode(image, "WEBP", **several),
        "webp alpha": encode(veiled, "WEBP", exif=exif),
        "bmp top down": bmp(np.asarray(photo(31, 20)), top_down=True),
        "bmp of OS/2": bmp(np.asarray(photo(31, 20)), core=True),
        "bmp alpha": encode(veiled, "BMP"),
        "tiff several": encode(photo(), "TIFF", save_all=True, append_images=[photo().convert("L")]),
        "tiff tiles": tiff(np.asarray(photo(100, 70)), tile=(32, 48)),
        "tiff tiles deflate": tiff(np.asarray(photo(100, 70)), tile=(32, 48), deflate=True),
        "tiff big-endian": tiff(np.asarray(photo(100, 70)), order=">", deflate=True),
        "tiff planes": tiff(np.asarray(photo(100, 70)), planes=True, deflate=True),
        "tiff of 64 bits": encode(image, "TIFF", big_tiff=True, compression="tiff_lzw"),
        "tiff 16 bits lzw": encode(
            sixteen_bits(np.asarray(image.convert("L")).astype(int) * 257), "TIFF", compression="tiff_lzw"
        ),
    }


def interlaced_png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) as the seven passes of Adam7."""
    height, width, _ = pixels.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [b"\0" + row.tobytes() for y, x, dy, dx in passes for row in pixels[y::dy, x::dx] if row.size]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bmp(pixels: np.ndarray, top_down: bool = False, core: bool = False) -> bytes:
    """(H, W, 3) without compression, under the header of Windows or of OS/2."""
    height, width, _ = pixels.shape
    lines = pixels[..., ::-1] if top_down else pixels[::-1, :, ::-1]
    body = b"".join(line.tobytes() + bytes(-3 * width % 4) for line in lines)
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, 24)
    else:
        header = struct.pack(
            "<IiiHHIIiiII", 40, width, -height if top_down else height, 1, 24, 0, len(body), 0, 0, 0, 0
        )
    offset = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + body


def tiff(
    pixels: np.ndarray,
    tile: tuple[int, int] | None = None,
    order: str = "<",
    deflate: bool = False,
    planes: bool = False,
    **tags: object,
) -> bytes:
    """(H, W, 3) in strips of 16 rows, or in tiles of (height, width); `tags` by their names below override."""
    height, width, _ = pixels.shape
    tall, wide = tile or (16, width)
    layers = [pixels[..., band] for band in range(3)] if planes else [pixels]
    parts = []
    for layer in layers:
        for y in range(0, height, tall):
            for x in range(0, width, wide):
                part = layer[y : y + tall, x : x + wide]
                if tile:
                    sides = [(0, tall - part.shape[0]), (0, wide - part.shape[1]), (0, 0)]
                    part = np.pad(part, sides[: part.ndim])
                parts.append(zlib.compress(part.tobytes()) if deflate else part.tobytes())
    sizes = [len(part) for part in parts]
    starts = [8 + sum(sizes[:number]) for number in range(len(parts))]
    entries: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8, 8, 8]),
        259: (3, [8 if deflate else 1]),
        262: (3, [2]),
        277: (3, [3]),
        284: (3, [2 if planes else 1]),
        **({322: (4, [wide]), 323: (4, [tall])} if tile else {278: (4, [tall])}),
        **{tag: (4, numbers) for tag, numbers in zip((324, 325) if tile else (273, 279), (starts, sizes), strict=True)},
    }
    return written_tiff(b"".join(parts), entries | {int(name[1:]): entry for name, entry in tags.items()}, order)


def written_tiff(body: bytes, entries: dict[int, tuple[int, list[int]]], order: str = "<") -> bytes:
    """A header, the coded pixels from byte 8 on, a directory of tag → (type, numbers), and what does not fit in it."""
    codes = {1: "B", 3: "H", 4: "I"}
    at = 8 + len(body)
    further, directory = b"", struct.pack(f"{order}H", len(entries))
    beyond = at + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        kind, numbers = entries[tag]
        value = struct.pack(f"{order}{len(numbers)}{codes[kind]}", *numbers)
        if len(value) > 4:
            further, value = further + value, struct.pack(f"{order}I", beyond + len(further))
        directory += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + value.ljust(4, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", at) + body + directory + bytes(4) + further
