"""Where the model comes from, and how to make it again: its card in plain words."""

from __future__ import annotations

import json
import platform
import shlex
from typing import Any

from kopal.classifier import Classifier
from kopal.model_file import in_words
from kopal.report.page.facts import Facts
from kopal.report.page.html import grouped, paragraph, section
from kopal.report.web_page import plain


def provenance(facts: Facts) -> str:
    """The model card: what it is, what it is for, what it learned from, with what."""
    card, report = facts.classifier.card, facts.report
    kept = card.provenance.get("photos")
    learned = kept if isinstance(kept, int) else report["photos"]["train"]
    more = " …" if len(facts.classes) > 20 else ""
    rows: list[tuple[str, str]] = [
        ("knows", f"{len(facts.classes)} classes: {', '.join(facts.classes[:20])}{more}"),
        ("learned from", f"{grouped(learned)} photos, and knows nothing but what was on them"),
        ("holds", str(report.get("holds", ""))),
        ("net", card.net),
        ("takes", in_words(card.geometry)),
        ("temperature", f"{card.temperature:.4g}"),
        ("kopal", str(card.provenance.get("kopal", ""))),
        ("seed", str(facts.recipe.get("seed", ""))),
        ("sha256 of the photos", str(card.provenance.get("data_sha256", ""))),
        ("sha256 of model.onnx", facts.classifier.digest),
        ("page made with", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"),
    ]
    if weights := report.get("weights"):
        rows.insert(4, ("starting weights", ", ".join(f"{name} {value}" for name, value in weights.items())))
    items = "".join(f"<dt>{plain(name)}</dt><dd>{plain(value)}</dd>\n" for name, value in rows if value)
    limits = (
        f"{_strangers(facts.classifier)} The accuracy above holds for photos like those it was judged by: of the same "
        "kind, taken the same way. It says nothing about photos from elsewhere."
    )
    return section(
        "card",
        "The model's card",
        paragraph(limits),
        f"<dl>\n{items}</dl>\n",
        _again(facts),
        f"<details><summary>All knobs</summary><pre>{plain_json(facts.recipe)}</pre></details>\n",
    )


def _again(facts: Facts) -> str:
    data = facts.report.get("data")
    if not data:
        return ""
    command = f"kopal train {shlex.quote(data['typed'])} --like {shlex.quote(str(facts.folder))}"
    return f"<h3>To make it again</h3>\n<pre>{plain(command)}</pre>\n"


def plain_json(value: Any) -> str:
    """JSON, indented, as text of a page."""
    return "\n".join(plain(line) for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines())


def _strangers(classifier: Classifier) -> str:
    if classifier.has_unknown:
        return "It may take a photo of something else for one of its classes: not every such photo is called unknown."
    return "It names one of its classes whatever is on a photo."
