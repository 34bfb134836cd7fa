"""What its owner says of how a set is to be read: where the class of a photo stands, and what binds photos together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from kopal.errors import UsageError
from kopal.files import shown

OfPath = Callable[[str], str | None]
"""From a photo's path, relative to the set and with slashes, to a class or a group; None where it says nothing."""
_AFTER_PREFIX = "0123456789 _.-()"


@dataclass(frozen=True)
class Reading:
    """`labels_from` is parent (the folder), prefix (`cat_001.jpg`) or a regular expression; `group` a table's column or
    a regular expression. None leaves it to the set: its folders, its table's columns. With `unlabelled` a folder that
    says no class at all is welcome too.
    """

    labels_from: str | None = None
    group: str | None = None
    unlabelled: bool = False

    def label_of(self) -> OfPath | None:
        """How a name says the class; None where folders do, as they do unasked. Raises `UsageError`."""
        if self.labels_from in (None, "parent"):
            return None
        if self.labels_from == "prefix":
            return prefix
        return _pattern(self.labels_from, "--labels-from", "label", "parent, prefix, or")

    def group_of(self, columns: tuple[str, ...] = ()) -> OfPath | None:
        """How a path says the group; None with no such wish. `columns` are those of a table. Raises `UsageError`."""
        if self.group is None:
            return None
        choices = f"one of the columns {', '.join(map(shown, columns))}, or" if columns else ""
        return _pattern(self.group, "--group", "group", choices)


def prefix(path: str) -> str | None:
    """The name before its last numbers: great_dane_012.jpg → great_dane, cat.12.jpg → cat; None without a number."""
    stem = PurePosixPath(path).stem
    name = stem.rstrip(_AFTER_PREFIX)
    return name if name and any(letter.isdecimal() for letter in stem[len(name) :]) else None


def parent(path: str) -> str | None:
    """The folder right around the file."""
    return PurePosixPath(path).parent.name or None


def relative(path: str, root: str) -> str:
    """A photo's path below the set's root, with slashes."""
    start = root.rstrip("/\\") + "/"
    below = path[len(start) :] if path.startswith(start) else os.path.relpath(path, root)
    return below.replace(os.sep, "/")


def _pattern(said: str | None, option: str, name: str, choices: str) -> OfPath:
    """A regular expression, searched for in the path; its one group, or the group of that name, is the answer."""
    expected = f"{choices} a regular expression with one group in parentheses, or one named {name}".strip()
    example = f"such as {option} '^([a-z]+)_'"
    try:
        pattern = re.compile(said or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{option} {said}: {error}", expected, example) from error
    if name not in pattern.groupindex and pattern.groups != 1:
        raise UsageError(f"{option} {said}: {pattern.groups or 'no'} groups in parentheses", expected, example)
    key: str | int = name if name in pattern.groupindex else 1

    def found(path: str) -> str | None:
        match = pattern.search(path)
        return (match[key] or None) if match else None

    return found
