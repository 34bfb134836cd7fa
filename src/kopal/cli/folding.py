"""A line that is wider than the terminal as several: broken between words, and a long name after a / where it can be.

Widths are counted in terminal cells, of which some letters take two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len

_WORD = re.compile("( *)([^ ]+)")


def fold(text: str, width: int, indent: int = 0) -> list[str]:
    """One line → lines of at most `width` cells, all but the first indented. A web address stays whole."""
    begin = len(text) - len(text.lstrip(" "))
    ahead = " " * min(indent, width // 2)
    lines, line, bare = [], text[:begin], True
    for gap, word in _WORD.findall(text[begin:]):
        if not bare and cell_len(line + gap + word) > width:
            # Only a name that no line can hold is begun where there is room for some of it.
            long = cell_len(ahead + word) > width and "://" not in word
            head = _to_slash(word, width - cell_len(line + gap)) if long else ""
            lines.append(line + gap + head if head else line)
            gap, word, line = "", word[len(head) :], ahead
        first, *others = _pieces(word, width - cell_len(line + gap), width - len(ahead))
        line, bare = line + gap + first, False
        for piece in others:
            lines.append(line)
            line = ahead + piece
    return [*lines, line]


def _pieces(word: str, first: int, cells: int) -> Iterator[str]:
    """A word in pieces of so many cells, the first in `first`; one that fits is one piece, and so is a web address."""
    if "://" in word or cell_len(word) <= first:
        yield word
        return
    at, free = 0, first
    while at < len(word):
        end = _end(word, at, free)
        if end < len(word):
            end = word.rfind("/", at + 1, end) + 1 or end
        yield word[at:end]
        at, free = end, cells


def _to_slash(word: str, cells: int) -> str:
    """The longest beginning in so many cells that ends in a slash with a name before it; or nothing."""
    return word[: word.rfind("/", 1, _end(word, 0, cells)) + 1] if cells > 0 else ""


def _end(word: str, at: int, cells: int) -> int:
    """Where the letters from `at` on end that fit into so many cells; one letter at the least."""
    end = at + 1
    while end < len(word) and cell_len(word[at : end + 1]) <= cells:
        end += 1
    return end
