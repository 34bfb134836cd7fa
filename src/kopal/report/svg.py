"""The few SVG marks that a drawing of boxes and lines needs; text stays text, and any text is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from unicodedata import east_asian_width

from kopal.files import shown
from kopal.report.drawn import TITLE

Point = tuple[int, int]

LINE, INK, QUIET = "#7d8590", "#1f2328", "#656d76"

STYLE = f"""
text {{ font-family: "DejaVu Sans", Verdana, Arial, sans-serif; font-size: 11px; fill: {INK}; }}
.name {{ font-weight: bold; }}
.quiet {{ fill: {QUIET}; }}
.head {{ font-size: 18px; font-weight: bold; }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
.sign {{ font-size: 15px; }}
.line {{ fill: none; stroke: {LINE}; stroke-width: 1.5; }}
.tip {{ fill: {LINE}; }}
.frame {{ fill: #ffffff; stroke: #c4cad1; }}
.stage {{ fill: #f6f8fa; stroke: #c4cad1; }}
"""


def document(width: int, height: int, title: str, body: str) -> str:
    """A whole SVG file on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n<title>{_plain(title)}</title>\n'
        f"<metadata>{TITLE}</metadata>\n<style>{STYLE}</style>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{body}</svg>\n'
    )


def moved(x: int, y: int, marks: str) -> str:
    """Marks shifted by (x, y)."""
    return f'<g transform="translate({x} {y})">\n{marks}</g>\n' if marks else ""


def words(x: int, y: int, text: str, kind: str = "") -> str:
    """Text on the baseline y."""
    look = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{look}>{_plain(text)}</text>\n'


def box(x: int, y: int, width: int, height: int, colours: tuple[str, str] | str, tip: str = "") -> str:
    """A rounded box, filled and edged with two colours or of a class; `tip` is shown where the pointer rests."""
    look = f'class="{colours}"' if isinstance(colours, str) else f'fill="{colours[0]}" stroke="{colours[1]}"'
    inside = f"><title>{_plain(tip)}</title></rect>" if tip else "/>"
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" {look}{inside}\n'


def tip(x: int, y: int, towards: Point = (0, 1)) -> str:
    """An arrow's head that ends in (x, y) and points down, or to a side."""
    dx, dy = towards
    back, half = (x - 7 * dx, y - 7 * dy), (4 * dy, 4 * dx)
    corners = (x, y), (back[0] + half[0], back[1] + half[1]), (back[0] - half[0], back[1] - half[1])
    path = " L".join(f"{x} {y}" for x, y in corners)
    return f'<path class="tip" d="M{path} Z"/>\n'


def ring(x: int, y: int, radius: int, sign: str) -> str:
    """A circle around one sign: where two ways meet."""
    return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="#ffffff" stroke="{LINE}" stroke-width="1.5"/>\n' + words(
        x, y + 5, sign, "middle sign"
    )


def line(points: Sequence[Point], radius: int = 8) -> str:
    """A line of upright and level pieces with rounded corners."""
    steps = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _short_of(corner, before, radius), _short_of(corner, after, radius)
        steps.append(f"L{start[0]} {start[1]} Q{corner[0]} {corner[1]} {end[0]} {end[1]}")
    steps.append(f"L{points[-1][0]} {points[-1][1]}")
    path = " ".join(steps)
    return f'<path class="line" d="{path}"/>\n'


def text_width(text: str, bold: bool = False) -> int:
    """About how many pixels a text of 11 takes; the viewer's font decides."""
    letters = sum(2 if east_asian_width(letter) in "WF" else 1 for letter in shown(text))
    return round(letters * (7.4 if bold else 6.5))


def _short_of(corner: Point, other: Point, radius: int) -> Point:
    def toward(here: int, there: int) -> int:
        reach = min(radius, abs(there - here) // 2)
        return here + (reach if there > here else -reach)

    return toward(corner[0], other[0]), toward(corner[1], other[1])


def _plain(text: str) -> str:
    return escape(shown(text))
