"""The photos: how many of which class in which part, what was left out, and what an audit says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from kopal.audit import MEANING
from kopal.datasets import PARTS
from kopal.files import shown
from kopal.report.page.facts import Facts
from kopal.report.page.html import Cell, bar, grouped, listing, number, paragraph, section, table
from kopal.report.page.sections.answers import last
from kopal.report.page.thumbnails import Thumbnails
from kopal.report.web_page import plain

MOST_LEFT_OUT = 50
MOST_OF_A_KIND, MOST_FINDINGS = 6, 24
LISTED = ("unreadable", "truncated")
"""Kinds of findings that the list of files left out has already."""
IN_WORDS = {"train": "to learn from", "calibration": "to calibrate", "test": "to judge by"}


def data(facts: Facts, thumbnails: Thumbnails) -> str:
    """Counts per class and part, the files that could not be read, and the audit's findings."""
    return section("data", "The photos", _counts(facts), _left_out(facts), _findings(facts, thumbnails))


def wanted(facts: Facts) -> Iterator[str]:
    """The photos of the findings that are shown."""
    for found in _shown(facts):
        yield from (found["file"], *found["others"][:1])


def _shown(facts: Facts) -> list[Mapping[str, Any]]:
    """The worst findings about photos, a few of each kind."""
    found = [
        row for row in facts.report.get("audit", {}).get("findings", []) if row["file"] and row["kind"] not in LISTED
    ]
    of_kind = Counter[str]()
    some = []
    for row in found:
        of_kind[row["kind"]] += 1
        if of_kind[row["kind"]] <= MOST_OF_A_KIND:
            some.append(row)
    return some[:MOST_FINDINGS]


def _findings(facts: Facts, thumbnails: Thumbnails) -> str:
    counts = {kind: n for kind, n in facts.report.get("audit", {}).get("counts", {}).items() if kind not in LISTED}
    if not counts:
        return ""
    said = [f"{n} x {kind}: {MEANING[kind]}" for kind, n in counts.items() if kind in MEANING]
    whole = [row["why"] for row in facts.report["audit"]["findings"] if not row["file"]]
    items = "".join(_finding(row, thumbnails) for row in _shown(facts))
    cards = f'<ul class="mistakes">\n{items}</ul>\n' if items else ""
    note = (
        "Nothing was removed. kopal audit shows all of it, and writes a list to edit that kopal train --review obeys."
    )
    return f"<h3>What an audit found</h3>\n{paragraph(note)}{listing(said)}{listing(whole)}{cards}"


def _finding(row: Mapping[str, Any], thumbnails: Thumbnails) -> str:
    twin = thumbnails.picture(row["others"][0], f"its twin, {last(row['others'][0])}") if row["others"] else ""
    return (
        f'<li><div class="pair">{thumbnails.picture(row["file"], last(row["file"]))}{twin}</div>'
        f"<b>{plain(row['kind'])}</b><div>{plain(row['why'])}</div>"
        f'<div class="quiet">{plain(last(row["file"]))}</div></li>\n'
    )


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
