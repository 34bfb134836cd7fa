"""Which column of a table is which, by the names that people give them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

from kopal.datasets.rows import Table
from kopal.errors import DataError
from kopal.files import shown

Kind: TypeAlias = Literal["path", "label", "split", "group"]
SYNONYMS: dict[Kind, frozenset[str]] = {
    "path": frozenset(
        {
            *("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_file"),
            *("image_name", "imagename", "img", "img_path", "photo", "photo_path", "picture"),
        }
    ),
    "label": frozenset({"labels", "class", "class_name", "classname", "label_name", "category", "species", "target"}),
    "split": frozenset({"part", "subset", "set", "partition"}),
    "group": frozenset({"group_id"}),
}


def find(table: Table, kind: Kind) -> int | None:
    """The place of the column of a kind: the one of that very name, else the only one that means it; None without.

    Raises `DataError` where two could be meant, or one that is no text.
    """
    names = [_folded(column) for column in table.columns]
    for meant in ({kind}, SYNONYMS[kind]):
        found = [place for place, name in enumerate(names) if name in meant]
        if len(found) > 1:
            both = " and ".join(shown(table.columns[place]) or "(no name)" for place in found)
            raise DataError(
                f"{shown(table.name)} has the columns {both}: which is the {kind}?",
                f"one column of the {kind}",
                f"call the right one {kind}",
            )
        if found:
            return found[0]
        _check_read(table, kind, meant)
    return None


def named(table: Table, column: str, kind: Kind) -> int | None:
    """The place of the column that a user names for a kind, as written or but for case; None without.

    Raises `DataError` where it is no text.
    """
    if column in table.columns:
        return table.columns.index(column)
    folded = [_folded(name) for name in table.columns]
    if folded.count(_folded(column)) == 1:
        return folded.index(_folded(column))
    _check_read(table, kind, {_folded(column)})
    return None


def needed(table: Table, kind: Kind, example: str) -> int:
    """As `find`, where it must be there. Raises `DataError`."""
    place = find(table, kind)
    if place is None:
        raise DataError(
            f"{shown(table.name)} has no column of the {kind}: its first line is "
            f"{', '.join(shown(name[:40]) for name in table.columns[:8])}",
            f"a first line that names the columns, such as {example}",
            f"call the column {kind}" + (", or say --labels-from parent" if kind == "label" else ""),
        )
    return place


def _check_read(table: Table, kind: Kind, meant: Collection[str]) -> None:
    """Raises `DataError` for a column that is asked for and is no text: as if it were not there, photos would leak."""
    for name, what in table.unread:
        if _folded(name) in meant:
            raise DataError(
                f"{shown(table.name)} has the column {shown(name)}, {what}, for the {kind}",
                "text, numbers, truths, dates or times",
                f"write it as text, or call it something else if it is no {kind}",
            )


def _folded(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
