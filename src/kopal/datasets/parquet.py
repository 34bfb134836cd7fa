"""A Parquet file as a table of text; pyarrow, which reads it, is an extra."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from kopal.datasets.members import check_count
from kopal.datasets.rows import Row, Table
from kopal.errors import DataError, UsageError
from kopal.files import shown


def parquet_rows(path: str | os.PathLike[str]) -> Table:
    """The columns that hold text, numbers or truths, as text; rows count from 1. Raises `UsageError`, `DataError`."""
    arrow, parquet = pyarrow()
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            stored = parquet.ParquetFile(file)
            check_count(stored.metadata.num_rows, name)
            schema = stored.schema_arrow
            plain = [field.name for field in schema if _is_plain(arrow, field.type)]
            columns = [column.to_pylist() for column in stored.read(columns=plain).columns]
    except OSError as error:
        raise UsageError(
            f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}", "a Parquet file that may be read"
        ) from error
    except arrow.ArrowException as error:
        raise DataError(
            f"{shown(name)} is no Parquet file, or damaged: {shown(str(error).splitlines()[0][:200])}",
            "a whole Parquet file",
            "copy or write it again",
        ) from error
    rows = (tuple("" if cell is None else str(cell).strip() for cell in cells) for cells in zip(*columns, strict=True))
    return Table(name, tuple(plain), tuple(Row(f"row {number}", cells) for number, cells in enumerate(rows, start=1)))


def pyarrow() -> tuple[Any, Any]:
    """The packages pyarrow and pyarrow.parquet. Raises `UsageError` with the command that installs them."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "pyarrow is not installed", "the package pyarrow, for .parquet files", "pip install 'kopal[parquet]'"
        ) from error


def _is_plain(arrow: Any, kind: Any) -> bool:
    # A category of pandas is a dictionary of texts; pictures in the file, structures with bytes, are not read.
    kind = kind.value_type if arrow.types.is_dictionary(kind) else kind
    return bool(
        arrow.types.is_string(kind)
        or arrow.types.is_large_string(kind)
        or arrow.types.is_integer(kind)
        or arrow.types.is_floating(kind)
        or arrow.types.is_boolean(kind)
    )
