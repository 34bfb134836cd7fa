"""The page of similar photos: it needs nothing else, and whatever a file is called, its name is text."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from conftest import CLASSES
from kopal.datasets import open_dataset
from kopal.errors import UsageError
from kopal.extraction import of_net
from kopal.report.similar_page import similar_page
from kopal.similar import similar

Kopal = Callable[..., tuple[int, str, str]]


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_needs_nothing_else_and_shows_every_picture(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    query, out = photos / CLASSES[2] / "3.jpg", tmp_path / "page.html"
    for _ in range(2):  # the second time over the first
        code, said, err = kopal("similar", photos, query, "--top", 4, "--out", out)
        assert code == 0, err
    assert f"as a page: {out}" in said
    page = Page(out.read_text(encoding="utf-8"))
    assert not page.of("script") + page.of("link") + page.of("iframe")
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    pictures = page.of("img")
    assert len(pictures) == 1 + 4
    for picture in pictures:
        assert picture["alt"]
        kind, _, code64 = str(picture["src"]).partition(",")
        assert kind == "data:image/jpeg;base64"
        data = base64.b64decode(code64)
        assert len(data) < 60_000
        assert max(Image.open(io.BytesIO(data)).size) <= 480
    assert page.text.count("the same file") == 1
    assert "http" not in out.read_text(encoding="utf-8").replace("http-equiv", "")


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not take")
def test_hostile_names_are_text_on_the_page(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    evil = "<script>alert(1)</script>".replace("/", "∕")
    (root / CLASSES[0]).rename(root / f"\"><img src=x onerror='a'>{evil}")
    query = tmp_path / '"><script>&.jpg'
    odd = os.fsencode(tmp_path) + b"/odd\xff\x1b[31m.jpg"
    shutil.copy(photos / CLASSES[0] / "1.jpg", query)
    shutil.copy(photos / CLASSES[0] / "2.jpg", os.fsdecode(odd))
    found = similar(open_dataset(root), [str(query), os.fsdecode(odd)], of_net(), top=5)
    text = similar_page(found)
    page = Page(text)
    assert not page.of("script")
    assert len(page.of("img")) == 12
    assert all(str(picture["src"]).startswith("data:") and "onerror" not in picture for picture in page.of("img"))
    assert any("<img src=x onerror" in words for words in page.text)
    assert "\x1b" not in text
    text.encode("utf-8")


def test_the_same_photos_give_the_same_page_and_tiny_ones_stay_sharp() -> None:
    found = similar(open_dataset("digits").sample(range(40)), ["digits/00003"], of_net(), top=2)
    text = similar_page(found)
    assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(similar_page(found).encode()).digest()
    assert text.count('class="tiny"') == 3
    assert text.count("data:image/png") == 3


def test_a_photo_that_has_gone_meanwhile_is_said_on_the_page(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    found = similar(open_dataset(root), [str(root / CLASSES[0] / "1.jpg")], of_net(), top=2)
    Path(found.answers[0].neighbours[1].name).unlink()
    assert "no such file" in similar_page(found)


def test_a_page_has_bounds(photos: Path) -> None:
    found = similar(open_dataset(photos), [str(photos / CLASSES[0] / "1.jpg")], of_net(), top=20)
    with pytest.raises(UsageError, match="a page of 2100 photos"):
        similar_page(replace(found, answers=found.answers * 100))
