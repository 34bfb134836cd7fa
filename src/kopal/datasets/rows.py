"""A table's bytes as rows of text, whatever a spreadsheet made of them: marks, encodings, delimiters, quotes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from kopal.datasets.members import check_count
from kopal.errors import DataError
from kopal.files import shown

DELIMITERS = ",;\t"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAYS_DELIMITER = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
_LOOKED_AT = 400


class Row(NamedTuple):
    """A row's cells, and where it stands: `line 3`."""

    place: str
    cells: tuple[str, ...]


class Table(NamedTuple):
    """A table by its owner's name for it: the columns' names as they are written, and the rows that are not blank.

    `unread` are columns whose content is no text and cannot be written as such: the name, and what it is.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unread: tuple[tuple[str, str], ...] = ()


def text_rows(data: bytes, name: str) -> Table:
    """A file of comma-, semicolon- or tab-separated values. Raises `DataError`, which names the line."""
    text = _text(data, name)
    said = _SAYS_DELIMITER.match(text)  # Excel's own way to name it
    skipped = 1 if said else 0
    text = text[said.end() :] if said else text
    lines = _lines(text, said[1] if said else _delimiter(text), name, skipped)
    _, header = next(lines, (0, []))
    if not header:
        raise DataError(f"{shown(name)} is empty", "a line of names, such as path,label, and a line for each photo")
    columns = tuple(cell.strip() for cell in header)
    rows: list[Row] = []
    for number, cells in lines:
        place = f"line {number}"
        if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
            raise DataError(
                f"{shown(name)}, {place} has {len(cells)} cells and the header {len(columns)}",
                "as many cells in every line",
                'put a cell that holds the delimiter into quotes: "a,b.jpg"',
            )
        check_count(len(rows), name)
        rows.append(Row(place, tuple(cell.strip() for cell in cells[: len(columns)])))
    return Table(name, columns, tuple(rows))


def _text(data: bytes, name: str) -> str:
    """Marked UTF-8 or UTF-16, or what is UTF-8 by itself: any other encoding would be a guess at the class names."""
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    encoding = marked or _unmarked(data[:_LOOKED_AT])
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(
                f"{shown(name)} begins as {encoding[:6].upper()} and does not go on so",
                "a whole table",
                "save it again",
            ) from error
        raise _not_utf8(data, error.start, name) from error
    if "\0" in text:
        raise DataError(f"{shown(name)} is no table by its content: it holds zeros", "text, as CSV or TSV")
    return text


def _unmarked(start: bytes) -> str:
    """UTF-16 without its mark has a zero beside nearly every letter."""
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if start and zeros.count(0) > len(zeros) // 2:
            return encoding
    return "utf-8"


def _not_utf8(data: bytes, at: int, name: str) -> DataError:
    number = data.count(b"\n", 0, at) + 1
    line = data[data.rfind(b"\n", 0, at) + 1 :].split(b"\n", 1)[0].strip()[:60]
    fix = "in Excel: save as 'CSV UTF-8'; elsewhere: iconv -f CODEPAGE -t utf-8"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        happened = f"{shown(name)}, line {number} is neither UTF-8 nor any Windows code page of Western Europe"
    else:
        as_1252 = shown(line.decode("cp1252"))
        happened = (
            f"{shown(name)}, line {number} is not UTF-8; it looks like a Windows code page, "
            f"and read as 1252 it says: {as_1252}"
        )
    return DataError(happened, "UTF-8, or UTF-16 as Excel marks it", fix)


def _delimiter(text: str) -> str:
    """The one that cuts the first line into most cells."""

    def cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=cells)


def _lines(text: str, delimiter: str, name: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = skipped + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{shown(name)}, line {number}: {error}", "quotes that are closed", 'write a quote in quotes twice: ""'
            ) from error
        if any(cell.strip() for cell in cells):
            yield number, cells
        number = skipped + reader.line_num + 1
