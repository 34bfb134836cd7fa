"""Charts as SVG that takes its colours from the page, light or dark: lines, bands, points with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from kopal.report.web_page import plain

Place = tuple[float, float]

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 68, 20, 14, 46
LETTER, LINE = 6.4, 13.0
"""Room that a label takes: a letter's width, and a line."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`: its name, and whether its numbers are percent, logarithmic, whole."""

    name: str
    low: float
    high: float
    percent: bool = False
    logarithmic: bool = False
    whole: bool = False

    def share(self, value: float) -> float:
        """Where a value stands, 0 at the low end and 1 at the high one."""
        low, high = (log10(self.low), log10(self.high)) if self.logarithmic else (self.low, self.high)
        return ((log10(value) if self.logarithmic else value) - low) / ((high - low) or 1.0)

    def ticks(self) -> list[float]:
        """Round numbers along the axis."""
        if self.logarithmic:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        else:
            step = max(_round_step((self.high - self.low) / 5), float(self.whole))
            found = [
                step * number for number in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)
            ]
        inside = [value for value in found if -1e-9 <= self.share(value) <= 1 + 1e-9]
        return inside if len(inside) <= 9 else inside[:: -(-len(inside) // 9)]

    def label(self, value: float) -> str:
        """A tick's number as text."""
        return f"{100 * value:.3g}%" if self.percent else f"{value:.4g}"


@dataclass(frozen=True)
class Line:
    """A line through places; `look` is its colour (c1, c2, c3, quiet), `dashed` an outlook or a reference."""

    name: str
    places: Sequence[Place]
    look: str = "c1"
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """What lies between two lines over the same x: (x, low, high)."""

    name: str
    places: Sequence[tuple[float, float, float]]
    look: str = "c1"


@dataclass(frozen=True)
class Dot:
    """A point, with its interval along y if it has one, and what is said where the pointer rests."""

    x: float
    y: float
    words: str
    interval: tuple[float, float] | None = None
    radius: float = 4.0
    label: str = ""


@dataclass(frozen=True)
class Dots:
    """Points that belong together."""

    name: str
    dots: Sequence[Dot]
    look: str = "c1"


def chart(title: str, x: Axis, y: Axis, marks: Sequence[Line | Band | Dots]) -> str:
    """A figure with its legend; `title` says in words what is seen, also to those who do not see it."""
    body = _frame(x, y) + "".join(_mark(mark, x, y) for mark in marks)
    named = [mark for mark in marks if mark.name]
    legend = "".join(f'<li class="{mark.look}{_dash(mark)}">{plain(mark.name)}</li>' for mark in named)
    key = f'<ul class="legend">{legend}</ul>' if named else ""
    return (
        f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{plain(title)}">\n{body}'
        f"</svg>\n<figcaption>{plain(title)}</figcaption>{key}</figure>\n"
    )


def spread(values: Iterable[float], least: float = 0.0) -> tuple[float, float]:
    """The lowest and the highest value with some air around them, at least `least` apart."""
    found = list(values)
    low, high = min(found), max(found)
    air = max(0.05 * (high - low), (least - (high - low)) / 2, 1e-6)
    return low - air, high + air


def _frame(x: Axis, y: Axis) -> str:
    marks = []
    for tick in y.ticks():
        _, at = _place(x.low, tick, x, y)
        marks.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        marks.append(f'<text class="end" x="{LEFT - 7}" y="{at + 4:.1f}">{plain(y.label(tick))}</text>')
    for tick in x.ticks():
        at, _ = _place(tick, y.low, x, y)
        marks.append(f'<path class="axis" d="M{at:.1f} {HEIGHT - BOTTOM}v4"/>')
        marks.append(f'<text class="middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}">{plain(x.label(tick))}</text>')
    marks.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    marks.append(f'<text class="middle name" x="{middle}" y="{HEIGHT - 6}">{plain(x.name)}</text>')
    half = (TOP + HEIGHT - BOTTOM) // 2
    marks.append(f'<text class="middle name" transform="translate(13 {half}) rotate(-90)">{plain(y.name)}</text>')
    return "\n".join(marks) + "\n"


def _mark(mark: Line | Band | Dots, x: Axis, y: Axis) -> str:
    if isinstance(mark, Line):
        return f'<path class="line {mark.look}{_dash(mark)}" d="{_path(mark.places, x, y)}"/>\n' if mark.places else ""
    if isinstance(mark, Band):
        there = [(at, high) for at, _, high in mark.places]
        back = [(at, low) for at, low, _ in reversed(mark.places)]
        return f'<path class="band {mark.look}" d="{_path([*there, *back], x, y)}Z"/>\n'
    taken: list[Place] = []
    return "".join(_dot(dot, mark.look, x, y) + _label(dot, x, y, taken) for dot in mark.dots)


def _dot(dot: Dot, look: str, x: Axis, y: Axis) -> str:
    across, down = _place(dot.x, dot.y, x, y)
    whisker = ""
    if dot.interval:
        ends = [_place(dot.x, end, x, y)[1] for end in dot.interval]
        whisker = f'<path class="line {look}" d="M{across:.1f} {ends[0]:.1f}V{ends[1]:.1f}"/>'
    return (
        f'<g>{whisker}<circle class="{look}" cx="{across:.1f}" cy="{down:.1f}" r="{dot.radius:.1f}">'
        f"<title>{plain(dot.words)}</title></circle></g>\n"
    )


def _label(dot: Dot, x: Axis, y: Axis, taken: list[Place]) -> str:
    """The dot's label above it, or further down where others, centred at `taken`, stand in its way."""
    if not dot.label:
        return ""
    across, down = _place(dot.x, dot.y, x, y)
    at = max(10.0, min([down - dot.radius, *(_place(dot.x, end, x, y)[1] for end in dot.interval or ())]) - 5)
    while any(abs(at - up) < LINE and abs(across - there) < LETTER * len(dot.label) for there, up in taken):
        at += LINE
    taken.append((across, at))
    return f'<text class="middle" x="{across:.1f}" y="{at:.1f}">{plain(dot.label)}</text>\n'


def _path(places: Sequence[Place], x: Axis, y: Axis) -> str:
    found = (_place(across, up, x, y) for across, up in places)
    return "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in found)


def _place(across: float, up: float, x: Axis, y: Axis) -> Place:
    # What lies outside stays at the border, so that no line leaves the frame.
    right, high = (min(max(axis.share(value), 0.0), 1.0) for axis, value in ((x, across), (y, up)))
    return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - high * (HEIGHT - TOP - BOTTOM)


def _dash(mark: Line | Band | Dots) -> str:
    return " dashed" if isinstance(mark, Line) and mark.dashed else ""


def _round_step(rough: float) -> float:
    power = 10.0 ** floor(log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
