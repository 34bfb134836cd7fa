"""Whether its probabilities can be believed, what it promises, and what is left when it may decline to answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kopal.model_file import UNKNOWN
from kopal.report.page.chart import Axis, Dot, Dots, Line, chart
from kopal.report.page.facts import Answer, Facts
from kopal.report.page.html import between, grouped, listing, paragraph, percent, section
from kopal.report.page.thumbnails import Thumbnails
from kopal.report.web_page import plain
from kopal.trust.promise import UNSURE

MOST_UNSURE = 24
"""Photos shown of those that it would not name."""


def trust(facts: Facts, thumbnails: Thumbnails) -> str:
    """Reliability and risk-coverage, with the promises that were made, and photos of which it is unsure."""
    report = facts.report
    drawn = ""
    if found := report.get("calibration"):
        drawn += _reliability(found)
    if points := report.get("risk_coverage"):
        drawn += _risk(points)
    said = filter(None, (_calibrated(report), _covered(report), _declined(report), _unknown(facts)))
    examples = "".join(_examples(facts, kind, thumbnails) for kind in (UNSURE, UNKNOWN))
    pictures = f'<div class="two">\n{drawn}</div>\n' if drawn else ""
    return section("trust", "Can it be trusted?", listing(said), pictures, examples)


def wanted(facts: Facts) -> Iterator[str]:
    """The photos that are shown here."""
    return (answer.path for said in (UNSURE, UNKNOWN) for answer in _not_named(facts, said)[:MOST_UNSURE])


def _not_named(facts: Facts, said: str) -> list[Answer]:
    return sorted((answer for answer in facts.answers if answer.answer == said), key=lambda answer: answer.probability)


def _examples(facts: Facts, said: str, thumbnails: Thumbnails) -> str:
    """Photos that got no name, least probable first, and how many of them it would have named wrong."""
    found = _not_named(facts, said)
    if not found:
        return ""
    items = "".join(
        f"<li>{thumbnails.picture(answer.path, f'{answer.truth}, {said}')}"
        f"{percent(answer.probability, 0)} {plain(answer.said)}"
        f'<div class="{"right" if answer.right else "wrong"}">is {plain(answer.truth)}</div></li>\n'
        for answer in found[:MOST_UNSURE]
    )
    wrong = sum(not answer.right for answer in found)
    words = (
        f"With the thresholds that the model keeps it calls {grouped(len(found))} of the photos judged {said}; "
        f"{grouped(wrong)} of these it would have named wrong."
    )
    return f'<h3>{plain(said.capitalize())}</h3>\n{paragraph(words)}<ul class="photos">\n{items}</ul>\n'


def _calibrated(report: Mapping[str, Any]) -> str:
    found = report.get("calibration")
    if not found:
        return ""
    low, high = found["ece_interval"]
    chance = "which is no more than chance shows" if low == 0 else "which is more than chance shows"
    said = (
        f"Its probabilities are off by {percent(found['ece_debiased'])} on average (95 % interval "
        f"{between((low, high))}), {chance}."
    )
    if found["temperature"] == 1:
        return said
    was, now = found["before"]["log_loss"], found["log_loss"]
    return f"{said} The temperature {found['temperature']:.3g} brought the log loss from {was:.3f} to {now:.3f}."


def _covered(report: Mapping[str, Any]) -> str:
    found = report.get("coverage")
    if not found:
        return ""
    kept = "kept" if found["kept"] else "not kept"
    return (
        f"Promised: the list that it answers with holds the true name for {percent(found['promised'], 0)} of photos. "
        f"Found: {percent(found['found'])} of {grouped(found['n'])}, band {between(found['band'])}: {kept}. It answers "
        f"with one name for {percent(found['one'], 0)}, with several for {percent(found['several'], 0)}, and is unsure "
        f"of {percent(found['unsure'], 0)}."
    )


def _declined(report: Mapping[str, Any]) -> str:
    found = report.get("max_error")
    if not found:
        return ""
    floor = found["floor"]
    if not floor:
        return f"Errors below {percent(found['max_error'], 0)} cannot be promised on so few photos."
    return (
        f"Answers from probability {floor['confidence']:.3f} on are wrong in fewer than {percent(found['max_error'])} "
        f"of cases, with 95 % confidence; {percent(floor['accepted'] / floor['photos'], 0)} of photos are that sure."
    )


def _unknown(facts: Facts) -> str:
    found = facts.classifier.card.thresholds.get("unknown")
    if not found:
        return ""
    said = (
        f"A photo is called unknown where it is further from all that was learned than "
        f"{percent(1 - found['false_alarms'], 0)} of the owner's photos are"
    )
    if found.get("auroc") is None:
        return f"{said}."
    return (
        f"{said}; with one class left out in turn, a photo of it stands further away than a known one in "
        f"{percent(found['auroc'], 0)} of pairs."
    )


def _reliability(found: Mapping[str, Any]) -> str:
    axis = Axis("probability of the answer", 0, 1, percent=True)
    dots = [
        Dot(
            row["confidence"],
            row["accuracy"],
            f"{row['n']} photos answered with {percent(row['low'], 0)} to {percent(row['high'], 0)}: "
            f"{percent(row['accuracy'])} right",
            (row["interval"][0], row["interval"][1]),
        )
        for row in found["bins"]
    ]
    return chart(
        "Reliability: of the answers given with a probability, how many are right",
        axis,
        Axis("right", 0, 1, percent=True),
        [Line("as probable as said", [(0, 0), (1, 1)], "quiet", dashed=True), Dots("found, 95 % interval", dots, "c1")],
    )


def _risk(points: list[Mapping[str, float]]) -> str:
    most = max(point["risk"] for point in points)
    return chart(
        "Errors among the answers, if only the surest photos are answered",
        Axis("photos answered", 0, 1, percent=True),
        Axis("wrong", 0, max(1.1 * most, 0.01), percent=True),
        [Line("", [(point["coverage"], point["risk"]) for point in points], "c2")],
    )
