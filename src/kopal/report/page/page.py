"""One HTML file for a run: no other file, no network; what it may load is only what it contains."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from kopal.classifier import Classifier
from kopal.datasets import Source
from kopal.report.page.facts import NOT_AS_WRITTEN, damaged, read_facts
from kopal.report.page.sections import answers, data, mistakes, trust
from kopal.report.page.sections.learning import growth, learning
from kopal.report.page.sections.provenance import provenance
from kopal.report.page.sections.summary import summary
from kopal.report.page.sections.weights import weights
from kopal.report.page.thumbnails import Thumbnails
from kopal.report.web_page import generator, plain

WORDS = "What this classifier can do, where it fails, and why"


def run_page(
    folder: Path,
    source: Source | None,
    report: Mapping[str, Any] | None = None,
    classifier: Classifier | None = None,
) -> str:
    """A run folder → its page; without a `source` of the photos, words stand in the place of pictures.

    `report` is what report.json will hold, where it is not written yet, `classifier` the model where it is at hand. The
    same run gives the same page. Raises `UsageError` for a folder that holds no finished run.
    """
    facts = read_facts(folder, report, classifier)
    try:
        near = mistakes.nearest(facts) if facts.photos else {}
        thumbnails = Thumbnails(
            source, chain(mistakes.wanted(facts, near), trust.wanted(facts), data.wanted(facts), answers.wanted(facts))
        )
        sections = [
            summary(facts),
            answers.answers(facts, thumbnails),
            answers.classes(facts),
            mistakes.mistakes(facts, source, thumbnails, near),
            trust.trust(facts, thumbnails),
            weights(facts),
            data.data(facts, thumbnails),
            learning(facts),
            growth(facts),
            provenance(facts),
        ]
    except NOT_AS_WRITTEN as error:
        if report is not None:
            raise
        raise damaged(folder, error) from error
    title = facts.report.get("title", folder.resolve().name)
    return document(title, WORDS, [part for part in sections if part], "report")


def document(title: str, words: str, sections: list[str], maker: str) -> str:
    """The whole file around its sections, with a policy that lets in nothing from outside; `maker` is the command."""
    style, script = (
        files("kopal.report.page").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading in map(_heading, sections))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{generator(maker)}\n"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{plain(title)}: kopal's report</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#{_heading(sections[0])[0]}">To the results</a>\n<header><h1>{plain(title)}</h1>\n'
        f'<p class="quiet">{plain(words)}</p></header>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n{"".join(sections)}</main>\n'
        "<footer>Made by kopal. The photos on this page are copies inside this file; nothing is loaded from elsewhere."
        f"</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _heading(part: str) -> tuple[str, str]:
    key = part.split('id="', 1)[1].split('"', 1)[0]
    return key, part.split("<h2", 1)[1].split(">", 1)[1].split("</h2>", 1)[0]


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
