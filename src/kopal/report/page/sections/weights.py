"""What a linear model looks for: each row of w as an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.report.page.facts import Facts
from kopal.report.page.html import paragraph, section
from kopal.report.page.thumbnails import array_address
from kopal.report.web_page import plain
from kopal.templates import linear_weights

MOST = 30
LINEAR = "linear"


def weights(facts: Facts) -> str:
    """The templates of a linear model on pixels; nothing for another net."""
    if facts.classifier.card.net != LINEAR:
        return ""
    found, _ = linear_weights(facts.classifier)
    height, width, channels = facts.classifier.geometry.shape
    images = found[:MOST].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    items = "".join(
        f'<li><span class="picture"><img alt="what speaks for {plain(name)}" src="{array_address(coloured(image))}">'
        f"</span>{plain(name)}</li>\n"
        for name, image in zip(facts.classes, images, strict=False)
    )
    words = (
        "Red pixels speak for the class when they are bright, blue ones against it."
        if channels == 1
        else "A colour lighter than grey speaks for the class, a darker one against it."
    )
    return section("weights", "What it looks for", paragraph(words), f'<ul class="templates">\n{items}</ul>\n')


def coloured(template: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Weights (H, W, C) → (H, W, 3): of one channel red above 0 and blue below, of three grey at 0."""
    strongest = float(np.quantile(np.abs(template), 0.995)) or float(np.abs(template).max()) or 1.0
    share = (template / strongest).clip(-1, 1)
    if template.shape[2] == 3:
        return np.asarray(np.round(127.5 + 127.5 * share), np.uint8)
    white = np.ones(3)
    colour = np.where(share > 0, np.array([0.70, 0.09, 0.17]), np.array([0.13, 0.40, 0.67]))
    mixed = white + np.abs(share) * (colour - white)
    return np.asarray(np.round(255 * mixed), np.uint8)
