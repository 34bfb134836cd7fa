"""The photos: how many of which class in which part, and what was left out."""

from __future__ import annotations

from collections import Counter

from kopal.datasets import PARTS
from kopal.files import shown
from kopal.report.page.facts import Facts
from kopal.report.page.html import Cell, bar, grouped, number, paragraph, section, table

MOST_LEFT_OUT = 50
IN_WORDS = {"train": "to learn from", "calibration": "to calibrate", "test": "to judge by"}


def data(facts: Facts) -> str:
    """Counts per class and part, and the files that could not be read."""
    return section("data", "The photos", _counts(facts), _left_out(facts))


def _counts(facts: Facts) -> str:
    if not facts.photos:
        return ""
    counts = Counter((photo.label, photo.part) for photo in facts.photos)
    parts = [part for part in PARTS if any(photo.part == part for photo in facts.photos)]
    total = {name: sum(counts[name, part] for part in parts) for name in facts.classes}
    most = max(total.values())
    rows: list[list[Cell | str]] = []
    for name in facts.classes:
        own = [number(counts[name, part], grouped(counts[name, part])) for part in parts]
        together = [number(total[name], grouped(total[name]))] if len(parts) > 1 else []
        rows.append([shown(name), *own, *together, Cell(bar(total[name] / most), total[name])])
    heads = [
        "class",
        *(IN_WORDS[part] for part in parts),
        *(["together"] if len(parts) > 1 else []),
        "share of the largest",
    ]
    used = (
        ""
        if len(parts) > 1
        else (" Every photo is learned from; before, each was judged by a model that had seen neither it nor a twin.")
    )
    words = f"{grouped(len(facts.photos))} photos in {len(facts.classes)} classes could be read.{used}"
    return paragraph(words) + table("Photos of each class", heads, rows, sortable=True)


def _left_out(facts: Facts) -> str:
    rows = facts.left_out
    if not rows:
        return paragraph("Every file could be read.") if facts.photos else ""
    shown_rows = [[shown(row["path"]), row["class"], row["kind"], row["reason"]] for row in rows[:MOST_LEFT_OUT]]
    more = f" (the first {MOST_LEFT_OUT}; all are in ledger.csv)" if len(rows) > MOST_LEFT_OUT else ""
    files = "file" if len(rows) == 1 else "files"
    return table(
        f"{grouped(len(rows))} {files} could not be read and are left out{more}",
        ["file", "class", "kind", "why"],
        shown_rows,
    )
