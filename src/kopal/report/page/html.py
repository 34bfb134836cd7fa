"""Pieces of a page: anyone's text without markup, numbers as people write them, tables, sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kopal.report.web_page import plain


def percent(share: float, digits: int = 1) -> str:
    """0.884 → 88.4 %."""
    return f"{100 * share:.{digits}f} %"


def grouped(count: int) -> str:
    """3068 → 3,068."""
    return f"{count:,}"


def between(interval: Sequence[float]) -> str:
    """An interval of shares: 87.2 to 89.5 %."""
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"


@dataclass(frozen=True)
class Cell:
    """A table's cell: `markup` as it is shown, `key` what a column is sorted by where that is not its text."""

    markup: str
    key: float | None = None
    look: str = ""


def number(value: float, markup: str = "") -> Cell:
    """A cell with a number, by which its column is sorted."""
    return Cell(markup or f"{value:g}", value, "number")


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell | str]], *, sortable: bool = False, look: str = ""
) -> str:
    """A table with a caption; the first cell of each row names it. Strings are anyone's text."""
    rows = list(rows)
    numeric = [isinstance(cell, Cell) and cell.look == "number" for cell in rows[0]] if rows else [False] * len(heads)
    top = "".join(_head(head, sortable, is_number) for head, is_number in zip(heads, numeric, strict=True))
    body = "".join(
        "<tr>" + "".join(_cell(cell, first=not at) for at, cell in enumerate(row)) + "</tr>\n" for row in rows
    )
    kinds = " ".join(kind for kind in (look, "sortable" if sortable else "") if kind)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{plain(caption)}"><table class="{kinds}">'
        f"<caption>{plain(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _head(text: str, sortable: bool, is_number: bool) -> str:
    inside = f'<button type="button">{plain(text)}</button>' if sortable else plain(text)
    look = ' class="number"' if is_number else ""
    return f'<th scope="col"{look}>{inside}</th>'


def _cell(cell: Cell | str, first: bool) -> str:
    cell = Cell(plain(cell)) if isinstance(cell, str) else cell
    key = "" if cell.key is None else f' data-key="{cell.key:.6g}"'
    look = f' class="{cell.look}"' if cell.look else ""
    return f'<th scope="row"{look}{key}>{cell.markup}</th>' if first else f"<td{look}{key}>{cell.markup}</td>"


def section(key: str, title: str, *inside: str) -> str:
    """A part of the page with a heading that can be linked to; nothing where nothing is inside."""
    body = "".join(inside)
    if not body:
        return ""
    head = f'<h2 id="{key}-title">{plain(title)}</h2>'
    return f'<section id="{key}" aria-labelledby="{key}-title">\n{head}\n{body}</section>\n'


def paragraph(text: str, look: str = "") -> str:
    """A paragraph of plain text."""
    kind = f' class="{look}"' if look else ""
    return f"<p{kind}>{plain(text)}</p>\n"


def listing(items: Iterable[str]) -> str:
    """A list of plain texts; nothing for none."""
    rows = "".join(f"<li>{plain(item)}</li>\n" for item in items)
    return f"<ul>\n{rows}</ul>\n" if rows else ""


def bar(share: float, look: str = "") -> str:
    """A level bar, as wide as its share; what it says stands beside it in words."""
    kind = f' class="{look}"' if look else ""
    reach = 100 * min(max(share, 0), 1)
    return (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect{kind} width="{reach:.1f}" height="6"/></svg>'
    )
