"""Runs side by side as one page: how good, how dear, how they learned, and the photos on which they disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import sqrt
from pathlib import Path

from kopal.compare import Comparison
from kopal.files import shown
from kopal.report.page.chart import Axis, Dot, Dots, Line, chart, spread
from kopal.report.page.facts import Answer, Facts, read_facts
from kopal.report.page.html import Cell, between, number, paragraph, percent, section, table
from kopal.report.page.page import document
from kopal.report.page.sections.answers import last
from kopal.report.page.sources import photos_of
from kopal.report.page.thumbnails import Thumbnails
from kopal.report.web_page import plain

MOST = 60
"""Photos shown on which two runs disagree."""
LOOKS = ("c1", "c2", "c3")
LARGEST = 16.0
"""Radius of the net with most parameters; areas are as the numbers of parameters."""


def comparison_page(found: Comparison, folders: Sequence[Path]) -> str:
    """A comparison and its runs' folders → the page. Raises `UsageError` for a run whose files are damaged."""
    runs = [read_facts(folder) for folder in folders]
    names = [row.run for row in found.rows]
    sections = [
        section("table", "Side by side", _words(found), _table(found)),
        section("cost", "What it costs", _costs(found, runs)),
        section("curves", "How they learned", _curves(names, runs)),
        section("photos", "Where they disagree", _disagreements(names, runs, folders[0])),
    ]
    title = f"{len(runs)} runs compared"
    words = "The same photos, answered by different models"
    return document(title, words, [part for part in sections if part], "compare")


def _words(found: Comparison) -> str:
    said = [found.note] if found.note else []
    for row in found.rows[1:]:
        if row.p is not None:
            verdict = "more than chance" if row.p < 0.05 else "it may be chance"
            said.append(
                f"Against {found.rows[0].run}, {row.run} wins {row.only_this} photos and loses {row.only_first}: "
                f"{verdict} (McNemar, p = {row.p:.2g})."
            )
    return "".join(paragraph(text) for text in said)


def _table(found: Comparison) -> str:
    rows: list[list[Cell | str]] = [
        [
            row.run,
            number(row.accuracy, percent(row.accuracy)),
            number(row.interval[0], between(row.interval)),
            number(row.log_loss, f"{row.log_loss:.3f}"),
            number(row.calibration_error, percent(row.calibration_error)),
            number(row.seconds, f"{row.seconds:.1f}"),
            number(row.bytes, f"{row.bytes / 1e6:.1f}"),
            Cell("", 2.0) if row.p is None else number(row.p, f"{row.p:.2g}"),
        ]
        for row in found.rows
    ]
    heads = ["run", "right", "95 % interval", "log loss", "calibration error", "seconds", "MB", "McNemar p"]
    return table(f"{found.shared or 'No'} photos that all have answered", heads, rows, sortable=True)


def _costs(found: Comparison, runs: Sequence[Facts]) -> str:
    sizes = [run.classifier.parameters for run in runs]
    most = max(sizes)
    low, high = spread([end for row in found.rows for end in row.interval])
    up = Axis("right", max(0.0, low), min(1.0, high), percent=True)
    drawn = ""
    for title, name, values in (
        ("Accuracy against the seconds of training", "seconds", [row.seconds for row in found.rows]),
        ("Accuracy against the size of model.onnx", "MB", [row.bytes / 1e6 for row in found.rows]),
    ):
        least, largest = min(values) / 1.6, max(values) * 1.6
        dots = [
            Dot(
                value,
                row.accuracy,
                f"{row.run}: {percent(row.accuracy)}, {value:.3g} {name}, {size:,} parameters",
                row.interval,
                max(3.0, LARGEST * sqrt(size / most)),
                last(row.run),
            )
            for value, row, size in zip(values, found.rows, sizes, strict=True)
        ]
        drawn += chart(
            f"{title}; circles are as large as the nets",
            Axis(name, least, largest, logarithmic=True),
            up,
            [Dots("", dots, "c1")],
        )
    return f'<div class="two">\n{drawn}</div>\n'


def _curves(names: Sequence[str], runs: Sequence[Facts]) -> str:
    learned = [(name, run.history) for name, run in zip(names, runs, strict=True) if len(run.history) > 1]
    if not learned:
        return ""
    drawn = ""
    for title, key, share in (
        ("Validation loss", "validation_loss", False),
        ("Validation accuracy", "validation_accuracy", True),
    ):
        low, high = spread([row[key] for _, history in learned for row in history], 0.01)
        x = Axis("epoch", 1, max(len(history) for _, history in learned), whole=True)
        y = Axis(title.lower(), max(0.0, low), min(1.0, high) if share else high, percent=share)
        lines = [
            Line(name, [(row["number"], row[key]) for row in history], LOOKS[at % 3], dashed=at >= 3)
            for at, (name, history) in enumerate(learned)
        ]
        drawn += chart(title, x, y, lines)
    return f'<div class="two">\n{drawn}</div>\n'


def _disagreements(names: Sequence[str], runs: Sequence[Facts], folder: Path) -> str:
    found = list(islice(_disagreed(runs), MOST + 1))
    if not found:
        return ""
    source, note = photos_of(folder)
    thumbnails = Thumbnails(source, [answers[0].path for answers in found[:MOST]])
    items = "".join(_card(names, answers, thumbnails) for answers in found[:MOST])
    more = f" The first {MOST} are shown." if len(found) > MOST else ""
    words = f"Photos that not all of them name right, or all wrong.{more}"
    return paragraph(words) + (paragraph(note, "quiet") if note else "") + f'<ul class="photos">\n{items}</ul>\n'


def _disagreed(runs: Sequence[Facts]) -> Iterator[list[Answer]]:
    others = [{answer.path: answer for answer in run.answers} for run in runs[1:]]
    for answer in runs[0].answers:
        if all(answer.path in known for known in others):
            answers = [answer, *(known[answer.path] for known in others)]
            if len({one.right for one in answers}) == 2:
                yield answers


def _card(names: Sequence[str], answers: Sequence[Answer], thumbnails: Thumbnails) -> str:
    truth, path = answers[0].truth, answers[0].path
    said = "".join(
        f'<div class="{"right" if one.right else "wrong"}">{plain(last(name))}: {plain(one.said)} '
        f"{percent(one.probability, 0)}</div>"
        for name, one in zip(names, answers, strict=True)
    )
    return (
        f"<li>{thumbnails.picture(path, f'{truth}, {last(path)}')}<b>{plain(truth)}</b>{said}"
        f'<div class="name">{plain(shown(last(path)))}</div></li>\n'
    )
