"""kopal audit: on the screen, as JSON, as a page; and what every training says of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES, make_photos
from copied_photos import saved, scene
from kopal.audit import Audit, Finding
from kopal.cli.audit_lines import audit_lines, summary_lines
from kopal.datasets import open_dataset
from kopal.report.audit_page import MOST_PICTURES, PER_KIND, audit_page
from test_similar_page import Page

Kopal = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with a leak, a conflict, a copy, a black photo and a file that ends too early."""
    root = tmp_path_factory.mktemp("flawed") / "photos"
    make_photos(root / "train", CLASSES[:2], count=6)
    make_photos(root / "test", CLASSES[:2], count=3, first=40)
    home = root / "train" / CLASSES[0]
    (home / "scene.jpg").write_bytes(saved(scene(5)))
    (home / "small.jpg").write_bytes(saved(scene(5).resize((120, 90)), 70))
    (home / "black.jpg").write_bytes(saved(scene(0).point(lambda _: 0)))
    (home / "cut.jpg").write_bytes((home / "1.jpg").read_bytes()[:2000])
    shutil.copy(home / "1.jpg", root / "train" / CLASSES[1] / "one.jpg")
    shutil.copy(home / "2.jpg", root / "test" / CLASSES[0] / "two.jpg")
    return root


def test_the_command_names_every_kind_worst_first(kopal: Kopal, flawed: Path, tmp_path: Path) -> None:
    code, out, err = kopal("audit", flawed)
    assert code == 0, err
    wanted = ["1 x leak", "2 x label conflict", "1 x truncated", "1 x near-duplicate", "1 x black"]
    places = [out.index(words) for words in wanted]
    assert places == sorted(places)
    code, out, _ = kopal("audit", flawed, "--json", "--out", tmp_path / "audit.json")
    value = json.loads(out)
    assert value == json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert value["counts"]["leak"] == 1
    assert set(value["findings"][0]) == {"kind", "file", "others", "score", "why", "action"}
    assert value["findings"][0]["file"].endswith("two.jpg")
    assert value["findings"][0]["others"][0].endswith("2.jpg")


def test_a_training_says_it_in_a_few_lines_and_the_accuracy_without_the_leak(
    kopal: Kopal, flawed: Path, tmp_path: Path
) -> None:
    code, out, err = kopal("train", flawed, "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0, err
    lines = out[out.index("audit (") :].splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["1", "leak"], ["2", "label"]]
    assert "without the 1 photos of the test part whose twins were learned from" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["without_twins"]["twins"] == 1
    assert report["without_twins"]["n"] == report["n"] - 1 == 6
    assert report["audit"]["counts"]["leak"] == 1


def test_sound_photos_are_no_news(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, out, _ = kopal("audit", photos)
    assert code == 0
    assert "nothing found in 24 photos" in out
    code, out, _ = kopal("train", photos, "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0
    assert "audit" not in out
    assert "without_twins" not in json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))


def test_what_cannot_be_learned_from_can_be_audited(kopal: Kopal, tmp_path: Path) -> None:
    (tmp_path / "photos" / "only").mkdir(parents=True)
    (tmp_path / "photos" / "only" / "bad.jpg").write_bytes(b"no photo")
    code, out, err = kopal("audit", tmp_path / "photos")
    assert code == 0, err
    assert "1 x unreadable" in out


def test_an_audit_replaces_only_an_earlier_one(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    for name in ("a.html", "a.json", "a.csv"):
        for _ in range(2):
            code, _, err = kopal("audit", photos, "--out", tmp_path / name)
            assert code == 0, err
        (tmp_path / f"own-{name}").write_text("mine")
        code, _, err = kopal("audit", photos, "--out", tmp_path / f"own-{name}")
        assert code == 2 and "is there and is no audit" in err
        assert (tmp_path / f"own-{name}").read_text() == "mine"
    code, _, err = kopal("audit", photos, "--out", tmp_path / "a.txt")
    assert code == 2 and ".html, .json, .csv" in err
    code, _, err = kopal("audit", photos, "--net", "garment")
    assert code == 2 and "no features" in err


def test_the_page_needs_nothing_else_and_its_pictures_are_bounded(kopal: Kopal, flawed: Path, tmp_path: Path) -> None:
    code, _, err = kopal("audit", flawed, "--out", tmp_path / "audit.html")
    assert code == 0, err
    text = (tmp_path / "audit.html").read_text("utf-8")
    page = Page(text)
    assert not page.of("script") + page.of("link") + page.of("iframe")
    policy = next(tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(str(tag["src"]).startswith("data:") and tag["alt"] for tag in page.of("img"))
    assert {str(tag["href"])[0] for tag in page.of("a")} == {"#"}
    assert {tag["href"] for tag in page.of("a")} == {f"#{tag['id']}" for tag in page.of("section")}
    dataset = open_dataset(flawed)
    many = [
        Finding(kind, dataset.names[0], dataset.names[:9], 1.0, "why", "review")
        for kind in ("leak", "duplicate", "blurred", "tiny", "outlier", "label")
        for _ in range(PER_KIND + 3)
    ]
    page = Page(audit_page(Audit(20).plus(many), dataset))
    assert len(page.of("img")) == MOST_PICTURES
    assert len(page.of("li")) == 6 * PER_KIND
    assert any("and 3 more" in words for words in page.text)
    assert any("7 more photos belong to it" in words for words in page.text)


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not take")
def test_hostile_names_are_text_on_the_page_and_the_screen(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    evil = "\"><img src=x onerror='a'><script>alert(1)<∕script>\x1b[31m"
    (root / CLASSES[0]).rename(root / evil)
    dataset = open_dataset(root)
    name = next(name for name in dataset.names if "onerror" in name)
    found = Audit(24).plus([Finding("leak", name, (name, "gone.jpg"), 1.0, f"its twin in {evil}", "leave out")])
    text = audit_page(found, dataset)
    page = Page(text)
    assert not page.of("script")
    assert all(str(tag["src"]).startswith("data:") and "onerror" not in tag for tag in page.of("img"))
    assert len(page.of("img")) == 2
    assert "\x1b" not in text
    assert "\x1b" not in "".join([*audit_lines(found), *summary_lines(found)])


def test_a_summary_is_a_few_lines_whatever_was_found() -> None:
    kinds = ("leak", "label", "shortcut", "duplicate", "black", "white", "outlier", "tiny", "imbalance", "truncated")
    audit = Audit(9).plus(Finding(kind, "a" * 300, (), 1.0, "why", "keep") for kind in kinds for _ in range(40))
    lines = list(summary_lines(audit))
    assert len(lines) == 8
    assert lines[-1].strip() == "and 40 outlier, 40 tiny, 40 imbalance"
    assert not list(summary_lines(Audit(9)))
