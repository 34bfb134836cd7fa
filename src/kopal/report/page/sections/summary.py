"""How good it is, in three sentences and a few numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kopal.fit.fitted import Kept
from kopal.report.page.facts import Facts
from kopal.report.page.html import Cell, between, grouped, number, paragraph, percent, section, table
from kopal.report.web_page import plain
from kopal.run import REPORT
from kopal.rungs import STEPS


def summary(facts: Facts) -> str:
    """What the owner wants to know first."""
    said = (paragraph(text, "lead") for text in sentences(facts))
    return section("summary", "At a glance", *said, _cards(facts), _ladder(facts.folder))


def sentences(facts: Facts) -> list[str]:
    """How good, where it fails, what next."""
    report = facts.report
    n, majority = report["n"], report["majority"]
    how = " that were kept aside" if report["measured_on"] == "test part" else ", each judged by a model new to it"
    said = [
        (
            f"Of {grouped(n)} photos{how}, {percent(report['accuracy'])} are named right "
            f"(95 % interval {between(report['interval'])}); always naming the largest class would get "
            f"{percent(majority)}."
        )
    ]
    if leaks := report.get("without_twins"):
        said.append(_without_twins(leaks))
    wrong = facts.confusion.copy()
    np.fill_diagonal(wrong, 0)
    if wrong.any():
        was, meant = np.unravel_index(int(wrong.argmax()), wrong.shape)
        worst = min(report["per_class"], key=lambda row: row["recall"] if row["n"] else 2)
        said.append(
            f"Most often {facts.classes[was]} is taken for {facts.classes[meant]} "
            f"({wrong[was, meant]} of {facts.confusion[was].sum()} photos); the class found least often is "
            f"{worst['class']}, {percent(worst['recall'], 0)} of {worst['n']}."
        )
    else:
        said.append("Not one of them is named wrong.")
    if report.get("kept"):
        words = Kept(**report["kept"]).in_words()
        said.append(f"{words[0].upper()}{words[1:]}.")
    if advice := report.get("advice"):
        more = f"; {advice['sentences'][-1]}" if "learning_curve" in advice else ""
        said.append(f"What next: {advice['sentences'][1]}{more}.")
    return said


def _without_twins(found: Mapping[str, Any]) -> str:
    if not found["n"]:
        return "Every one of them has a twin that was learned from, so that says nothing."
    return (
        f"{grouped(found['twins'])} of them have a twin that was learned from; without these it is "
        f"{percent(found['accuracy'])} ({between(found['interval'])}, {grouped(found['n'])} photos)."
    )


def _ladder(folder: Path) -> str:
    """The rungs that stand beside this one, where the run is one of a ladder."""
    rungs = {step.name: folder.parent / step.name.replace(" ", "-") for step in STEPS}
    if folder.name not in {rung.name for rung in rungs.values()}:
        return ""
    rows: list[list[Cell | str]] = []
    for name, rung in rungs.items():
        try:
            found = json.loads((rung / REPORT).read_bytes())
            share, ends, seconds = found["accuracy"], between(found["interval"]), found["seconds"]
        except (OSError, ValueError, LookupError, TypeError):  # not climbed, or not yet
            continue
        rows.append([name, number(share, percent(share)), number(share, ends), number(seconds, f"{seconds:.1f}")])
    heads = ["step", "right", "95 % interval", "seconds"]
    return table("The ladder: what each step buys on these photos", heads, rows) if len(rows) > 1 else ""


def _cards(facts: Facts) -> str:
    report = facts.report
    rows = [
        (percent(report["accuracy"]), f"right, {between(report['interval'])}"),
        (percent(report["majority"]), "by naming the largest class"),
        (grouped(report["n"]), "photos judged"),
        (f"{report['log_loss']:.3f}", f"log loss; guessing has {np.log(len(facts.classes)):.2f}"),
        (f"{facts.classifier.size / 1e6:.1f} MB", "model.onnx"),
        (f"{report['seconds']:.0f} s", "to train"),
    ]
    items = "".join(f"<li><b>{plain(value)}</b><span>{plain(words)}</span></li>\n" for value, words in rows)
    return f'<ul class="cards">\n{items}</ul>\n'
