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
    """The columns that hold text, numbers, truths, dates or times, as text; rows count from 1, and what cannot be text
    is named with its type. Raises `UsageError`, `DataError`.
    """
    arrow, parquet = pyarrow()
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            stored = parquet.ParquetFile(file)
            check_count(stored.metadata.num_rows, name)
            kinds = [(field.name, field.type) for field in stored.schema_arrow]
            table = stored.read(columns=[own for own, kind in kinds if _is_plain(arrow, kind)])
            found = list(zip(table.column_names, table.columns, strict=True))
    except OSError as error:
        raise UsageError(
            f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}", "a Parquet file that may be read"
        ) from error
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{shown(name)} is no Parquet file, or damaged: {shown(reason[:200])}",
            "a whole Parquet file",
            "copy or write it again",
        ) from error
    unread = [(own, f"of type {kind}") for own, kind in kinds if not _is_plain(arrow, kind)]
    columns: list[str] = []
    texts: list[list[str]] = []
    for own, column in found:
        try:
            texts.append(_texts(arrow, column))
            columns.append(own)
        except UnicodeDecodeError:
            unread.append((own, "text that is not UTF-8"))
        except (arrow.ArrowException, ValueError, OverflowError):  # a time that no calendar has
            unread.append((own, f"of type {column.type} with values that cannot be written"))
    rows = (Row(f"row {number}", cells) for number, cells in enumerate(zip(*texts, strict=True), start=1))
    return Table(name, tuple(columns), tuple(rows), tuple(unread))


def pyarrow() -> tuple[Any, Any]:
    """The packages pyarrow and pyarrow.parquet. Raises `UsageError` with the command that installs them."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "pyarrow is not installed", "the package pyarrow, for .parquet files", "pip install 'kopal[parquet]'"
        ) from error


def _texts(arrow: Any, column: Any) -> list[str]:
    # Times as Arrow writes them: Python's have no nanoseconds.
    column = column.cast(arrow.string()) if arrow.types.is_temporal(column.type) else column
    return ["" if cell is None else str(cell).strip() for cell in column.to_pylist()]


def _is_plain(arrow: Any, kind: Any) -> bool:
    # A category of pandas is a dictionary of texts; bytes may be pictures, and structures of them: those are not read.
    kind = kind.value_type if arrow.types.is_dictionary(kind) else kind
    return bool(
        arrow.types.is_string(kind)
        or arrow.types.is_large_string(kind)
        or str(kind) == "string_view"  # pyarrow 15 has no question for it
        or arrow.types.is_integer(kind)
        or arrow.types.is_floating(kind)
        or arrow.types.is_boolean(kind)
        or arrow.types.is_decimal(kind)
        or arrow.types.is_temporal(kind)
        or arrow.types.is_null(kind)
    )
