"""How it learned: loss, accuracy and rate after each epoch, or what was tried on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kopal.report.page.chart import Axis, Dot, Dots, Line, chart, spread
from kopal.report.page.facts import Facts
from kopal.report.page.html import between, listing, number, paragraph, percent, section, table


def learning(facts: Facts) -> str:
    """Curves of a net that learned from pixels, or the search for a head."""
    return section("learning", "How it learned", _curves(facts) if facts.history else _search(facts), _heads(facts))


def _curves(facts: Facts) -> str:
    report, rows = facts.report, facts.history
    numbers = [row["number"] for row in rows]
    epochs = Axis("epoch", numbers[0], max(numbers[-1], numbers[0] + 1), whole=True)
    losses = [row[name] for row in rows for name in ("train_loss", "validation_loss")]
    loss = Axis("loss", *spread(losses, 0.01))
    low, high = spread([row["validation_accuracy"] for row in rows], 0.02)
    accuracy = Axis("accuracy", max(0.0, low), min(1.0, high), percent=True)
    rate = Axis("learning rate", 0.0, max(row["rate"] for row in rows) * 1.05 or 1.0)
    drawn = [
        chart(
            "Loss while learning and on the validation photos",
            epochs,
            loss,
            [
                Line("learning", [(row["number"], row["train_loss"]) for row in rows], "c1"),
                Line("validation", [(row["number"], row["validation_loss"]) for row in rows], "c2"),
            ],
        ),
        chart(
            "Accuracy on the validation photos",
            epochs,
            accuracy,
            [Line("", [(row["number"], row["validation_accuracy"]) for row in rows], "c2")],
        ),
        chart("Learning rate", epochs, rate, [Line("", [(row["number"], row["rate"]) for row in rows], "c3")]),
    ]
    words = (
        f"{report['epochs']} epochs; the weights of epoch {report['best_epoch']} are kept, "
        f"where the validation loss was least. It ended because: {report['stopped']}."
    )
    return paragraph(words) + f'<div class="two">\n{"".join(drawn)}</div>\n'


def _search(facts: Facts) -> str:
    tried = facts.report.get("contenders", [])
    if not tried:
        return ""
    rows = [
        [
            row["name"],
            number(row["accuracy"], percent(row["accuracy"])),
            number(row["log_loss"], f"{row['log_loss']:.3f}"),
        ]
        for row in tried
    ]
    chosen = "penalty" if "penalty" in facts.report else "option"
    words = (
        f"The features come from a net that was not changed; a {facts.report['head']} head was fitted on them "
        f"({chosen} {facts.report[chosen]})."
    )
    heading = "What was tried, out of fold, each with the option that did best"
    return paragraph(words) + (table(heading, ["features", "accuracy", "log loss"], rows) if len(rows) > 1 else "")


def _heads(facts: Facts) -> str:
    heads = facts.report.get("heads", [])
    rows = [
        [
            row["head"],
            number(row["accuracy"], percent(row["accuracy"])),
            number(row["interval"][0], between(row["interval"])),
            number(row["log_loss"], f"{row['log_loss']:.3f}"),
            number(row["seconds"], f"{row['seconds']:.1f}"),
            number(row["bytes"], f"{row['bytes'] / 1e6:.1f}"),
        ]
        for row in heads
    ]
    names = ["head", "accuracy", "95 % interval", "log loss", "seconds", "MB"]
    return table("Heads on the same features", names, rows, sortable=True) if rows else ""


def growth(facts: Facts) -> str:
    """Whether more photos would help, and what else."""
    advice = facts.report.get("advice")
    if not advice:
        return ""
    curve = advice.get("learning_curve")
    return section("growth", "What next", listing(advice["sentences"]), _learning_curve(curve) if curve else "")


def _learning_curve(curve: Mapping[str, Any]) -> str:
    points = curve["points"]
    most = max(point["photos"] for point in points)
    low, high = spread([end for point in points for end in point["interval"]])
    x = Axis("photos learned from", min(point["photos"] for point in points), 4 * most, logarithmic=True)
    y = Axis("accuracy", max(0.0, low), min(1.0, high), percent=True)
    dots = [
        Dot(
            point["photos"],
            point["accuracy"],
            f"{point['photos']} photos: {percent(point['accuracy'])}",
            (point["interval"][0], point["interval"][1]),
        )
        for point in points
    ]
    return chart("Accuracy against photos learned from", x, y, [Dots("measured", dots, "c1")])
