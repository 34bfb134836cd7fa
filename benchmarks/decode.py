"""Claim: a 400 x 533 JPEG becomes 224 x 224 pixels in 2.2 ms of one core.

    python benchmarks/decode.py [FOLDER] [--photos 200] [--repeats 5]

One thread, bytes in memory; FOLDER holds JPEGs, else one is drawn. The parts: what of it Pillow takes for decoding and
resizing, called barely, and what kopal's checks cost. The median over the photos of the best of `--repeats`.
"""

from __future__ import annotations

import argparse
import io
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from header import once, print_header
from kopal import images
from kopal.images import Geometry
from kopal.images.jpeg import jpeg_fault

GEOMETRY = Geometry(224, 224)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    paths = sorted(Path(options.folder).rglob("*.jpg")) if options.folder else []
    step = max(1, len(paths) // options.photos)
    files = [path.read_bytes() for path in paths[::step][: options.photos]] or [drawn()]
    sizes = [Image.open(io.BytesIO(data)).size for data in files]
    common = max(sizes, key=sizes.count)
    print(f"n = {len(files)} photos, median {statistics.median(map(len, files)) / 1e3:.0f} KB, most of size {common}")
    parts: dict[str, Callable[[bytes], object]] = {
        "kopal.images.read": lambda data: images.read(data, GEOMETRY),
        "Pillow: decode": bare_decode,
        "Pillow: decode and resize": bare_resize,
        "walk to the end marker": jpeg_fault,
    }
    for name, work in parts.items():
        times = [1e3 * min(once(partial(work, data)) for _ in range(options.repeats)) for data in files]
        print(f"  {name:28} {statistics.median(times):6.3f} ms  ({min(times):.3f} to {max(times):.3f})")


def bare_decode(data: bytes) -> Image.Image:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    image.load()
    return image


def bare_resize(data: bytes) -> np.ndarray:
    image = bare_decode(data)
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box=GEOMETRY.box(*image.size)))


def drawn() -> bytes:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (20, 15, 3), dtype=np.uint8)).resize(
        (400, 533), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 4, (533, 400, 3))
    file = io.BytesIO()
    Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
