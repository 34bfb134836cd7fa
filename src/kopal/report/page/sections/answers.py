"""Right and wrong: the confusion matrix, whose cells open their photos, and each class's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from kopal.report.page.facts import Answer, Facts
from kopal.report.page.html import Cell, bar, between, grouped, number, paragraph, percent, section, table
from kopal.report.page.thumbnails import Thumbnails
from kopal.report.web_page import plain

MOST_CLASSES = 30
"""More columns than this nobody reads: the most frequent confusions are listed instead."""
RIGHT_SHOWN, WRONG_SHOWN, CELLS_SHOWN = 6, 18, 120
"""Photos of a cell on the diagonal and of another one, and cells with photos."""


def answers(facts: Facts, thumbnails: Thumbnails) -> str:
    """The matrix with the photos of its cells."""
    words = (
        "A row is what the photos are, a column what they were taken for. A number opens its photos."
        if len(facts.classes) <= MOST_CLASSES
        else f"With {len(facts.classes)} classes the most frequent confusions are listed; each opens its photos."
    )
    matrix = _matrix(facts) if len(facts.classes) <= MOST_CLASSES else _list(facts)
    cells = "".join(_photos(facts, cell, thumbnails) for cell in shown_cells(facts))
    return section("confusion", "Right and wrong", paragraph(words), matrix, cells)


def wanted(facts: Facts) -> Iterator[str]:
    """The photos that the cells show, wrong answers first."""
    for was, said in shown_cells(facts):
        yield from (answer.path for answer in _some(facts, was, said))


def shown_cells(facts: Facts) -> list[tuple[int, int]]:
    """The cells that have photos on the page: the most frequent confusions, then what is right."""
    return sorted(facts.cells, key=lambda cell: (cell[0] == cell[1], -len(facts.cells[cell]), cell))[:CELLS_SHOWN]


def _some(facts: Facts, was: int, said: int) -> tuple[Answer, ...]:
    found = facts.cells[was, said]
    # Of right answers those that were nearly wrong tell more.
    return found[-RIGHT_SHOWN:][::-1] if was == said else found[:WRONG_SHOWN]


def _matrix(facts: Facts) -> str:
    opened = {*shown_cells(facts)}
    rows: list[list[Cell | str]] = []
    for was, name in enumerate(facts.classes):
        count = int(facts.confusion[was].sum())
        cells = (_cell(facts, was, said, count, (was, said) in opened) for said in range(len(facts.classes)))
        rows.append([name, *cells, number(count, grouped(count))])
    heads = ["is ↓   taken for →", *facts.classes, "photos"]
    return table("Confusion matrix", heads, rows, look="matrix")


def _cell(facts: Facts, was: int, said: int, of: int, opens: bool) -> Cell:
    count = int(facts.confusion[was, said])
    if not count:
        return Cell("<span>0</span>", 0)
    share = count / of
    level = min(9, max(1, round(9 * share if was == said else 9 * sqrt(share))))
    look = f"{'good' if was == said else 'bad'}-{level}"
    truth, meant = facts.classes[was], facts.classes[said]
    words = f"{count} photos of {truth} named {'right' if was == said else meant}"
    inside = (
        f'<a href="#cell-{was}-{said}" aria-label="{plain(words)}">{count}</a>' if opens else f"<span>{count}</span>"
    )
    return Cell(inside, count, look)


def _list(facts: Facts) -> str:
    rows: list[list[Cell | str]] = []
    for was, said in shown_cells(facts):
        if was != said:
            count, of = len(facts.cells[was, said]), int(facts.confusion[was].sum())
            link = f'<a href="#cell-{was}-{said}">{count}</a>'
            rows.append([facts.classes[was], facts.classes[said], Cell(link, count, "number"), number(of, grouped(of))])
    return table("Most frequent confusions", ["is", "taken for", "photos", "of"], rows, look="matrix") if rows else ""


def _photos(facts: Facts, cell: tuple[int, int], thumbnails: Thumbnails) -> str:
    was, said = cell
    some, all_of_it = _some(facts, was, said), facts.cells[cell]
    truth, meant = facts.classes[was], facts.classes[said]
    title = f"{truth}, named right" if was == said else f"{truth}, taken for {meant}"
    which = "the least sure of " if was == said else "the surest of "
    photos = f"{grouped(len(all_of_it))} photo{'s' if len(all_of_it) > 1 else ''}"
    count = which + photos if len(some) < len(all_of_it) else photos
    items = "".join(
        f"<li>{thumbnails.picture(answer.path, f'{truth}, named {meant}')}"
        f"{percent(answer.probability, 0)} {plain(meant)}"
        f'<div class="name">{plain(last(answer.path))}</div></li>\n'
        for answer in some
    )
    return (
        f'<div class="cell" id="cell-{was}-{said}" tabindex="-1"><h3>{plain(title)} '
        f'<span class="quiet">({plain(count)})</span></h3>\n<ul class="photos">\n{items}</ul></div>\n'
    )


def last(path: str) -> str:
    """A photo's path without what is above its class folder."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def classes(facts: Facts) -> str:
    """Each class's recall and precision with their intervals."""
    rows: list[list[Cell | str]] = []
    for row in facts.report["per_class"]:
        found, meant = row["recall_interval"], row["precision_interval"]
        rows.append(
            [
                row["class"],
                number(row["n"], grouped(row["n"])),
                number(row["recall"], percent(row["recall"]) + bar(row["recall"])),
                number(found[0], between(found)),
                number(row["precision"], percent(row["precision"]) + bar(row["precision"])),
                number(meant[0], between(meant)),
                number(row["f1"], f"{row['f1']:.3f}"),
            ]
        )
    heads = [
        "class",
        "photos",
        "found (recall)",
        "95 % interval",
        "right when named (precision)",
        "95 % interval",
        "F1",
    ]
    return section(
        "classes", "Class by class", table("Each class, out of the photos judged", heads, rows, sortable=True)
    )
