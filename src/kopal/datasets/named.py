"""Sets that need no download: scikit-learn's handwritten digits and FashionMNIST where this machine has it."""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kopal.arrays import Pixels
from kopal.datasets.dataset import Dataset, Part
from kopal.errors import DataError, UsageError

FASHION_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class ArraySource:
    """Photos from memory, (N, H, W) or (N, H, W, 3) uint8; a name ends in the photo's number.

    They are served as PNG bytes, so that they take the same way through the decoder as any file.
    """

    pixels: Pixels

    def read(self, name: str) -> bytes:
        """One photo as a PNG file's bytes."""
        file = io.BytesIO()
        Image.fromarray(self.pixels[int(name.rsplit("/", 1)[1])]).save(file, "PNG", compress_level=1)
        return file.getvalue()


def digits() -> Dataset:
    """scikit-learn's 1 797 handwritten digits, 8 x 8 grey (UCI, CC BY 4.0)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
    return _dataset("digits", pixels, found.target, tuple(map(str, range(10))), _parts("train", len(pixels)))


def fashion_mnist() -> Dataset:
    """FashionMNIST (arXiv:1708.07747, MIT): 60 000 photos for training, 10 000 for test, 28 x 28 grey."""
    folder = fashion_mnist_folder()
    if folder is None:
        raise UsageError(
            "FashionMNIST is not on this machine",
            "Debian's package dataset-fashion-mnist, or torchvision's copy in ./data/FashionMNIST/raw",
            "apt-get install dataset-fashion-mnist, or use the set `digits`, which is always there",
        )
    pixels = np.concatenate([_idx(folder, f"{part}-images-idx3-ubyte") for part in ("train", "t10k")])
    labels = np.concatenate([_idx(folder, f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")])
    parts = _parts("train", 60_000) + _parts("test", 10_000)
    return _dataset("fashion-mnist", pixels, labels, FASHION_CLASSES, parts)


def fashion_mnist_folder() -> Path | None:
    """Where FashionMNIST's four files lie, or None."""
    homes = [Path("/usr/share/datasets/fashion-mnist"), Path("/usr/share/datasets")]
    homes += [Path(root) / "FashionMNIST" / "raw" for root in ("data", os.path.expanduser("~/.cache/torchvision"))]
    return next((home for home in homes if list(home.glob("t10k-labels-idx1-ubyte*"))), None)


NAMED: dict[str, Callable[[], Dataset]] = {"digits": digits, "fashion-mnist": fashion_mnist}


def _dataset(
    title: str, pixels: Pixels, labels: NDArray[np.integer[Any]], classes: tuple[str, ...], parts: Sequence[Part]
) -> Dataset:
    # The manifest's classes are the sorted names, so the set's own numbers are translated.
    order = sorted(classes)
    place = [order.index(name) for name in classes]
    names = tuple(f"{title}/{number:05d}" for number in range(len(pixels)))
    return Dataset(
        title, ArraySource(pixels), tuple(order), names, tuple(place[int(label)] for label in labels), tuple(parts)
    )


def _parts(part: Part, count: int) -> list[Part]:
    return [part] * count


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """The lecture's file format: two zeros, type 8, number of sides, the sides, the bytes."""
    path = next(iter(sorted(folder.glob(f"{name}*"))), None)
    if path is None:
        raise DataError(f"{folder} lacks {name}", "FashionMNIST's four files together")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", "an IDX file of bytes") from error
    start = 4 + 4 * int.from_bytes(data[3:4], "big")
    sides = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    if data[:3] != b"\0\0\x08" or not sides or len(data) != start + math.prod(sides):
        raise DataError(f"{path} is damaged", "an IDX file of bytes", "install the data set again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(sides)
