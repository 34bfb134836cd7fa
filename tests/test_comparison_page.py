"""compare.html: the table, what it costs, how they learned, and the photos on which the runs disagree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import QUICK, draw, make_photos
from kopal.pipeline import train
from kopal.recipes import Recipe
from page_reader import Page

Kopal = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A head on frozen features and a net from pixels, on the same test part; one of them is better."""
    root = tmp_path_factory.mktemp("compared")
    for part, first in (("train", 0), ("test", 50)):
        make_photos(root / "photos" / part, ("one", "two"), 12, first)
        (root / "photos" / part / "other").mkdir()
        for number in range(12):
            draw(0, 100 + first + number).save(root / "photos" / part / "other" / f"{number}.jpg", quality=92)
    made = Recipe(net="linear", epochs=3, image_size=16, init="normal", rate=0.003)
    first = train(root / "photos", root / "head", QUICK).folder
    return first, train(root / "photos", root / "pixels", made).folder


def test_the_page_has_table_costs_curves_and_disagreements(
    runs: tuple[Path, Path], tmp_path: Path, kopal: Kopal
) -> None:
    code, out, _ = kopal("compare", *runs, "--out", tmp_path / "compare.html")
    assert code == 0
    assert "as a page:" in out
    page = Page((tmp_path / "compare.html").read_text(encoding="utf-8"))
    keys = [element.attributes["id"] for element in page.of("section")]
    assert keys == ["table", "cost", "curves", "photos"]
    assert len(page.of("figure", "chart")) == 4
    assert "McNemar" in page.of("main")[0].text
    cards = page.text.split('<ul class="photos">')[1].count("<li>")
    assert 0 < cards <= 36
    assert page.text.count('class="right"') == page.text.count('class="wrong"') == cards
    assert all(element.attributes.get("alt") for element in page.of("img"))


def test_it_replaces_an_earlier_comparison_and_nothing_else(
    runs: tuple[Path, Path], tmp_path: Path, kopal: Kopal
) -> None:
    assert kopal("compare", *runs, "--out", tmp_path / "c.html")[0] == 0
    assert kopal("compare", *runs, "--out", tmp_path / "c.html")[0] == 0
    code, _, err = kopal("compare", *runs, "--out", runs[0] / "report.html")
    assert code == 2
    assert "is there and is no page of kopal compare" in err
