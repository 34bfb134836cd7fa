"""Folders and files wherever they lie, on disk or in an archive: what is passed over, and in which order."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple, Protocol

IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
NUMBERS = re.compile("([0-9]+)")


class Entry(NamedTuple):
    """What stands in a folder: its name there, and the path that names it alone."""

    name: str
    path: str
    is_folder: bool


class Tree(Protocol):
    """The one seam between folders on disk and folders in an archive."""

    def entries(self, folder: str) -> Iterable[Entry]:
        """All that stands in a folder, in any order. Raises `UsageError` where it cannot be listed."""
        ...

    def identity(self, folder: str) -> Hashable:
        """Equal for two paths that lead to one folder. Raises `UsageError` where it cannot be reached."""
        ...


def entries(tree: Tree, folder: str) -> list[Entry]:
    """What stands in a folder without droppings, in natural order of names (2 before 10)."""
    kept = [entry for entry in tree.entries(folder) if not ignored(entry.name)]
    return sorted(kept, key=lambda entry: natural(entry.name))


def walk(tree: Tree, folder: str, root: str | None = None) -> Iterator[str]:
    """Every file below a folder, in natural order of names, links followed, no loop walked twice.

    A link back to `root`, or to any folder on the way down from it, is a loop.
    """
    above = {tree.identity(root)} if root else set()
    # A stack of our own: folders may lie deeper in one another than Python's calls may.
    way: list[tuple[Hashable, Iterator[Entry]]] = []

    def enter(folder: str) -> None:
        here = tree.identity(folder)
        # Only a folder that lies above itself is a loop; the same folder linked twice side by side is not.
        if here not in above:
            above.add(here)
            way.append((here, iter(entries(tree, folder))))

    enter(folder)
    while way:
        here, left = way[-1]
        entry = next(left, None)
        if entry is None:
            above.remove(here)
            way.pop()
        elif entry.is_folder:
            enter(entry.path)
        else:
            yield entry.path


def ignored(name: str) -> bool:
    """Hidden files, thumbnail caches and other droppings that nobody means as photos."""
    return name.startswith(".") or name.lower() in IGNORED


def natural(name: str) -> list[tuple[str, int, str, str]]:
    """A sort key in which photo2 comes before photo10."""
    words = NUMBERS.split(name)
    # Numbers without their zeros compare by length, then as text: none is too long.
    plain = [number.lstrip("0") for number in (*words[1::2], "")]
    return list(zip(words[::2], map(len, plain), plain, (*words[1::2], ""), strict=True))
