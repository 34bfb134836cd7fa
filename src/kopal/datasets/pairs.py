"""Photos from memory with their labels: pictures of Pillow, arrays, the bytes of files, or paths."""

from __future__ import annotations

import contextlib
import io
import operator
import os
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from kopal.datasets.dataset import Dataset, Part
from kopal.datasets.groups import grouped
from kopal.datasets.layout import assemble
from kopal.datasets.members import check_size
from kopal.datasets.reading import Reading
from kopal.errors import DataError, UnreadableImage, UsageError
from kopal.files import shown
from kopal.images import read_bytes

Pair: TypeAlias = tuple[Any, str]
"""A picture, and its class."""
TITLE = "photos"
_AS_PNG = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})


@dataclass(frozen=True)
class PairSource:
    """Photos by name: a path is its own, the others are numbered. All become a file's bytes, for the one decoder."""

    pictures: dict[str, Any]
    # Pillow opens files late, and one picture must not be read by two threads at once.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, name: str) -> bytes:
        """A path's content, bytes as they are, pictures and arrays as PNG. Raises `UnreadableImage`."""
        picture = self.pictures[name]
        if isinstance(picture, str | os.PathLike):
            return read_bytes(picture)
        if isinstance(picture, bytes):
            check_size(len(picture))
            return picture
        if isinstance(picture, np.ndarray):
            return _png(Image.fromarray(picture.squeeze(2) if picture.shape[2:] == (1,) else picture))
        with self.lock:
            return _png(picture)


def from_pairs(pairs: Iterable[Pair], reading: Reading = Reading()) -> Dataset:  # noqa: B008 - frozen
    """(image, label) pairs → the set. An image is a picture of Pillow, an array uint8 (H, W) or (H, W, C), C of 1, 3
    or 4, a file's bytes, or a path; a label is text, or a whole number. Raises `UsageError` that names the pair.
    """
    if reading.labels_from is not None:
        raise UsageError("labels_from with pairs of an image and a label", "one of the two: the pairs bring labels")
    pictures: dict[str, Any] = {}
    rows: list[tuple[str, str, Part]] = []
    known: dict[str, tuple[int, str]] = {}
    for number, pair in enumerate(pairs):
        picture, label = _checked(number, pair)
        is_path = isinstance(picture, str | os.PathLike)
        name = os.path.normpath(os.fspath(picture)) if is_path else f"{TITLE}[{number}]"
        first, other = known.setdefault(name, (number, label))
        if other != label:
            raise DataError(
                f"pairs {first} and {number} give {shown(name)} two labels: {shown(other)} and {shown(label)}",
                "each photo as one thing",
                "take one of the pairs out",
            )
        if name not in pictures:
            pictures[name] = picture
            rows.append((name, label, "train"))
    if not rows:
        raise DataError("no pairs of an image and a label", '[(image, "cat"), (image, "dog"), …]')
    dataset = assemble(TITLE, PairSource(pictures), rows, (), "the pairs")
    group_of = reading.group_of()
    return dataset if group_of is None else grouped(dataset, [group_of(name) for name in dataset.names])


def _checked(number: int, pair: Any) -> tuple[Any, str]:
    if isinstance(pair, str | bytes) or not hasattr(pair, "__len__") or len(pair) != 2:
        raise UsageError(f"pair {number} is {_named(pair)}", "an image and a label", '[(image, "cat"), …]')
    picture, label = pair
    if isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (1,), (3,), (4,)):
            raise UsageError(
                f"the image of pair {number} is {picture.dtype} of shape {picture.shape}",
                "uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)",
            )
        if not picture.size:
            raise UsageError(f"the image of pair {number} has no pixels", "one at least")
    elif not isinstance(picture, str | bytes | os.PathLike | Image.Image):
        raise UsageError(
            f"the image of pair {number} is {_named(picture)}",
            "a picture of Pillow, an array of uint8, bytes or a path",
        )
    return picture, _label(number, label)


def _label(number: int, label: Any) -> str:
    try:
        text = label if isinstance(label, str) else str(operator.index(label))
    except TypeError as error:
        raise UsageError(f"the label of pair {number} is {_named(label)}", "text, or a whole number") from error
    text = unicodedata.normalize("NFC", text.strip())
    if not text:
        raise UsageError(f"the label of pair {number} is empty", "the name of its class")
    return text


def _named(value: Any) -> str:
    kind = type(value).__name__
    return f"{kind} of length {len(value)}" if isinstance(value, list | tuple) else f"of type {kind}"


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    try:
        with contextlib.suppress(Exception):  # damaged EXIF counts as none; a damaged picture fails again below
            image = ImageOps.exif_transpose(image)
        if image.mode == "F":
            raise UnreadableImage("unsupported", "floating-point pixels have no fixed range: give 8 bits")
        image = image if image.mode in _AS_PNG else image.convert("RGB")
        image.save(file, "PNG", compress_level=1)
    except UnreadableImage:
        raise
    except Exception as error:  # a picture that Pillow opened and has yet to read may fail in any way
        raise UnreadableImage("damaged", f"cannot be read: {str(error)[:200] or type(error).__name__}") from error
    return file.getvalue()
