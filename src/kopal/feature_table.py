"""Features as a file for any other tool: .npz for NumPy, .parquet for tables, .csv for all the rest.

    npz      features (N, D) float32 · labels (N,) int64 · classes (K,) · paths, parts, digests (N,) text · about, JSON
    parquet  path, class, label, part, sha256, features: a list of D float32
    csv      path, class, label, part, sha256, then one column per number, f0 to f(D-1), with the nine digits that give
             a float32 back exactly

A row is a photo. `labels` are places in `classes`, digests the sha256 of the photo's file. Nothing is pickled.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from kopal.datasets.parquet import pyarrow
from kopal.errors import UsageError
from kopal.features import Photos
from kopal.files import shown, writing

COLUMNS = ("path", "class", "label", "part", "sha256")
ARRAYS = ("features", "labels", "classes", "paths", "parts", "digests", "about")
ABOUT = b"kopal"
ROWS_AT_ONCE = 1024


def write_features(path: Path, photos: Photos, about: Mapping[str, Any]) -> None:
    """Write the rows in the format that the file's name asks for, whole or not at all; `about` says what they are.

    Raises `UsageError` (another name, pyarrow missing) and `OutputError`.
    """
    write = table_format(path)
    with writing(path) as file:
        write(file, photos, about)


def table_format(path: Path) -> Callable[[IO[bytes], Photos, Mapping[str, Any]], None]:
    """How a file of that name is written. Raises `UsageError` where it cannot be."""
    kind = path.suffix.lower()
    if kind not in _FORMATS:
        raise UsageError(f"features named {shown(path.name)!r}", f"a name that ends in {', '.join(KINDS)}")
    if kind == ".parquet":
        pyarrow()
    return _FORMATS[kind]


def is_feature_table(path: Path) -> bool:
    """Whether a file was written by `write_features`; its name says as what to read it."""
    try:
        return _RECOGNISE[path.suffix.lower()](path)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile):
        return False


def _write_npz(file: IO[bytes], photos: Photos, about: Mapping[str, Any]) -> None:
    np.savez(
        file,
        features=photos.features,
        labels=photos.labels,
        classes=np.array(photos.classes, np.str_),
        paths=np.array(photos.names, np.str_),
        parts=photos.parts,
        digests=np.array([digest.hex() for digest in photos.digests], np.str_),
        about=np.array(json.dumps(about), np.str_),
    )


def _write_csv(file: IO[bytes], photos: Photos, about: Mapping[str, Any]) -> None:
    dimension = photos.features.shape[1]
    numbers = ",".join(["%.9g"] * dimension)
    file.write(_line((*COLUMNS, *(f"f{column}" for column in range(dimension)))) + b"\n")
    for row, start in zip(photos.features, _starts(photos), strict=True):
        file.write(_line(start) + b"," + (numbers % tuple(row.tolist())).encode() + b"\n")


def _write_parquet(file: IO[bytes], photos: Photos, about: Mapping[str, Any]) -> None:
    arrow, parquet = pyarrow()
    dimension = photos.features.shape[1]
    types = (arrow.string(), arrow.string(), arrow.int64(), arrow.string(), arrow.string())
    fields = [*zip(COLUMNS, types, strict=True), ("features", arrow.list_(arrow.float32(), dimension))]
    schema = arrow.schema(fields, metadata={ABOUT: json.dumps(about).encode()})
    starts = _starts(photos)
    with parquet.ParquetWriter(file, schema) as writer:
        for first in range(0, len(photos), ROWS_AT_ONCE):
            block = photos.features[first : first + ROWS_AT_ONCE]
            texts = zip(*(next(starts) for _ in range(len(block))), strict=True)
            columns = [arrow.array(column, kind) for column, kind in zip(texts, types, strict=True)]
            lists = arrow.FixedSizeListArray.from_arrays(arrow.array(block.ravel()), dimension)
            writer.write_table(arrow.Table.from_arrays([*columns, lists], schema=schema))


def _starts(photos: Photos) -> Iterator[tuple[str, str, int, str, str]]:
    """What a row begins with, as text that any file takes."""
    for name, label, part, digest in zip(photos.names, photos.labels, photos.parts, photos.digests, strict=True):
        yield _text(name), _text(photos.classes[label]), int(label), str(part), digest.hex()


def _text(name: str) -> str:
    """A name whose odd bytes, which are no text, have become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _line(row: tuple[object, ...]) -> bytes:
    # The module quotes a carriage return only where it ends the lines too.
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return line.getvalue().removesuffix("\r\n").encode()


def _is_npz(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist() == [f"{name}.npy" for name in ARRAYS]


def _is_csv(path: Path) -> bool:
    start = ",".join((*COLUMNS, "f0")).encode()
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return ABOUT in (pyarrow()[1].read_schema(file).metadata or {})


_FORMATS: dict[str, Callable[[IO[bytes], Photos, Mapping[str, Any]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
_RECOGNISE: dict[str, Callable[[Path], bool]] = {".npz": _is_npz, ".parquet": _is_parquet, ".csv": _is_csv}
KINDS = tuple(_FORMATS)
