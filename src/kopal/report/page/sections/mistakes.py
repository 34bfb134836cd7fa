"""The worst mistakes: the surest wrong answers, where they come from, and what was learned that looks like them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kopal import images
from kopal.attribution import Attributor
from kopal.datasets import Source
from kopal.errors import UnreadableImage
from kopal.explain import Learned, Neighbourhood
from kopal.parallel import ordered
from kopal.report.overlay import overlaid
from kopal.report.page.facts import Answer, Facts
from kopal.report.page.html import paragraph, percent, section
from kopal.report.page.sections.answers import last
from kopal.report.page.thumbnails import Thumbnails, array_address
from kopal.report.web_page import plain

MOST = 12
NOTE = (
    "The wrong answers that were given with the greatest probability. Beside each photo the map of the model: red "
    "speaks for what was said, blue against it."
)
SEEN_SINCE = "The model in model.onnx has since learned from these photos, so its map may show a better reason."


def worst(facts: Facts) -> list[Answer]:
    """The wrong answers, surest first."""
    wrong = [answer for answer in facts.answers if not answer.right]
    return sorted(wrong, key=lambda answer: -answer.probability)[:MOST]


def nearest(facts: Facts) -> dict[str, tuple[Learned, ...]]:
    """For each of the worst mistakes the photos learned from that are nearest to it, where their features are kept."""
    around = Neighbourhood(facts.classifier, facts.folder)
    digests = {photo.path: bytes.fromhex(photo.sha256) for photo in facts.photos}
    return {answer.path: around.near_photo(digests[answer.path]) for answer in worst(facts) if answer.path in digests}


def mistakes(facts: Facts, source: Source | None, thumbnails: Thumbnails, near: dict[str, tuple[Learned, ...]]) -> str:
    """The cards of the worst mistakes."""
    found = worst(facts)
    if not found:
        return ""
    attributor = Attributor(facts.classifier)
    maps = ordered(lambda answer: _map(facts, answer, source, attributor), found)
    items = "".join(
        _card(answer, drawn, thumbnails, near.get(answer.path, ())) for answer, drawn in zip(found, maps, strict=True)
    )
    since = paragraph(SEEN_SINCE, "quiet") if facts.report["measured_on"] == "out of fold" else ""
    return section("mistakes", "The surest mistakes", paragraph(NOTE), since, f'<ul class="mistakes">\n{items}</ul>\n')


def wanted(facts: Facts, near: dict[str, tuple[Learned, ...]]) -> Iterator[str]:
    """The photos that the cards show."""
    for answer in worst(facts):
        yield answer.path
        yield from (learned.path for learned in near.get(answer.path, ()))


def _card(answer: Answer, drawn: str, thumbnails: Thumbnails, near: tuple[Learned, ...]) -> str:
    title = f"{answer.said} {percent(answer.probability, 0)}, is {answer.truth} ({percent(answer.of_truth, 0)})"
    learned = "".join(
        f"<li>{thumbnails.picture(one.path, one.label)}{plain(one.label)} {one.similarity:.2f}</li>" for one in near
    )
    below = f'<div class="quiet">nearest that it learned from</div><ul class="near">{learned}</ul>' if near else ""
    return (
        f'<li><div class="pair">{thumbnails.picture(answer.path, title)}{drawn}</div>'
        f'<b class="wrong">{plain(title)}</b><div class="quiet">{plain(last(answer.path))}</div>{below}</li>\n'
    )


def _map(facts: Facts, answer: Answer, source: Source | None, attributor: Attributor) -> str:
    if source is None:
        return ""
    try:
        pixels = images.read(source.read(answer.path), facts.classifier.geometry)
    except UnreadableImage:
        return ""
    found = attributor.map(pixels, facts.classes.index(answer.said))
    shown = np.round(255 * overlaid(pixels, found)).clip(0, 255).astype(np.uint8)
    words = f"what speaks for {answer.said}: {found.in_words()}"
    return f'<span class="picture"><img alt="{plain(words)}" src="{array_address(shown)}"></span>'
