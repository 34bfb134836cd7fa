"""Pieces of a drawing that runs from top to bottom, and how they are put together.

A piece is entered at (0, 0) and left at (0, height): its axis. It may reach to both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kopal.report import svg
from kopal.report.formats import caption

# Pixels: between boxes, before and after what runs side by side, around frames, between columns.
GAP, LEAD, PAD, HEADER, BETWEEN, RING = 18, 24, 12, 28, 20, 9


@dataclass(frozen=True)
class Piece:
    """A part of the drawing: how far it reaches to both sides of its axis, how high it is, its marks."""

    left: int = 0
    right: int = 0
    height: int = 0
    marks: str = ""


NOTHING = Piece()


def stack(pieces: Sequence[Piece]) -> Piece:
    """One below the other on one axis."""
    marks, y = "", 0
    for number, piece in enumerate(pieces):
        if number:
            marks += svg.line([(0, y), (0, y + GAP)])
            y += GAP
        marks += svg.moved(0, y, piece.marks)
        y += piece.height
    return Piece(max((p.left for p in pieces), default=0), max((p.right for p in pieces), default=0), y, marks)


def in_frame(piece: Piece, reach: tuple[int, int], names: Sequence[str], top: bool) -> Piece:
    """A piece in a frame that bears its name; several sheets where it stands for several."""
    left, right = (side + PAD for side in reach)
    height, sheets = HEADER + piece.height + PAD, 4 * min(len(names) - 1, 2)
    look = "stage" if top else "frame"
    marks = "".join(svg.box(shift - left, shift, left + right, height, look) for shift in range(sheets, -1, -4))
    name = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    marks += svg.words(10 - left, 18, caption(name, max(6, (left - 16) // 8)), "name")
    if len(names) > 1:
        marks += svg.words(right - 10, 18, f"{len(names)} times", "name end")
    marks += svg.line([(0, 0), (0, HEADER)]) + svg.moved(0, HEADER, piece.marks)
    marks += svg.line([(0, HEADER + piece.height), (0, height + sheets)])
    return Piece(left, right + sheets, height + sheets, marks)


def fork(main: Piece, side: Piece | None, sign: str, size: str) -> Piece:
    """The main way down the axis, the other at its right; they meet in a ring."""
    inside = max(main.height, side.height if side else 0)
    x = main.right + BETWEEN + (side.left if side else 0)
    meet = LEAD + inside + GAP + RING
    start, end = [(0, LEAD // 2), (x, LEAD // 2)], [(x, meet), (RING, meet)]
    if side:
        way = svg.line([*start, (x, LEAD)]) + svg.moved(x, LEAD, side.marks) + svg.line([(x, LEAD + side.height), *end])
    else:
        way = svg.line([*start, *end])
    marks = (
        way
        + svg.line([(0, 0), (0, LEAD)])
        + svg.moved(0, LEAD, main.marks)
        + svg.line([(0, LEAD + main.height), (0, meet - RING)])
        + svg.tip(0, meet - RING)
        + svg.tip(RING, meet, (-1, 0))
        + svg.ring(0, meet, RING, sign)
        + svg.words(-RING - 6, meet + 4, size, "quiet end")
    )
    return Piece(max(main.left, 80), x + (side.right if side else 4), meet + RING, marks)


def beside(branches: Sequence[Piece], below: Piece) -> Piece:
    """Branches next to each other that start together and end together."""
    width = sum(piece.left + piece.right for piece in branches) + BETWEEN * (len(branches) - 1)
    inside = max(piece.height for piece in branches)
    bottom = LEAD + inside + LEAD
    x, marks = -width // 2, ""
    for piece in branches:
        axis = x + piece.left
        marks += svg.line([(0, 0), (0, LEAD // 2), (axis, LEAD // 2), (axis, LEAD)])
        marks += svg.moved(axis, LEAD, piece.marks)
        marks += svg.line(
            [(axis, LEAD + piece.height), (axis, bottom - LEAD // 2), (0, bottom - LEAD // 2), (0, bottom)]
        )
        x = axis + piece.right + BETWEEN
    reach = max(width // 2, below.left) + 1
    return Piece(reach, reach, bottom + below.height, marks + svg.moved(0, bottom, below.marks))
