"""report.html: whole, self-contained, true to the numbers, whatever classes and files are called."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import CLASSES, QUICK, draw, make_photos
from kopal.datasets import open_dataset
from kopal.errors import UsageError
from kopal.images import read
from kopal.pipeline import train
from kopal.recipes import Recipe
from kopal.report.page import photos_of, run_page
from kopal.report.page.chart import Axis, Band, Dot, Dots, Line, chart
from kopal.report.page.thumbnails import MOST_BYTES
from kopal.run import Run
from page_reader import Page

Kopal = Callable[..., tuple[int, str, str]]

HOSTILE = ('<img src=x onerror="alert(1)">', "\"'& <b>kočka</b>", "]]> --> </script>")


@pytest.fixture(scope="module")
def confused(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that errs: two of its classes look alike."""
    folder = make_photos(tmp_path_factory.mktemp("confused") / "photos", ("one", "two"), 10)
    (folder / "other").mkdir()
    for number in range(10):
        draw(0, 100 + number).save(folder / "other" / f"{number}.jpg", quality=92)
    (folder / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    return train(folder, tmp_path_factory.mktemp("runs") / "confused", QUICK)


@pytest.fixture(scope="module")
def page(confused: Run) -> Page:
    return Page((confused.folder / "report.html").read_text(encoding="utf-8"))


def test_every_run_ends_in_a_page_that_needs_no_other_file(page: Page, confused: Run) -> None:
    assert page.of("title")[0].text.startswith("photos")
    for element in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = element.attributes.get(name) or ""
            assert value == "" or value.startswith(("#", "data:image/")), (element.tag, name, value[:60])
        assert not any(name.startswith("on") or name == "style" for name in element.attributes), element
    assert "url(" not in page.text
    assert "@import" not in page.text
    assert len(page.text) < 5e6


def test_the_policy_allows_exactly_the_style_and_the_script_inside(page: Page) -> None:
    policy = next(
        element.attributes["content"] or ""
        for element in page.of("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    [style], [script] = page.of("style"), page.of("script")
    for element in (style, script):
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"{element.tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_places_that_are_linked_to_are_there_once(page: Page) -> None:
    places = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(places) == len({*places})
    linked = {(element.attributes["href"] or "")[1:] for element in page.of("a")}
    assert linked <= {*places}
    assert {"summary", "confusion", "classes", "mistakes", "data", "learning", "growth", "card"} <= linked


def test_whoever_cannot_see_is_told(page: Page) -> None:
    assert page.of("html")[0].attributes["lang"] == "en"
    assert all(element.attributes.get("alt") for element in page.of("img"))
    assert all(
        element.attributes.get("aria-label") or element.attributes.get("aria-hidden") for element in page.of("svg")
    )
    assert all(element.attributes.get("scope") in ("col", "row") for element in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table"))
    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_matrix_has_the_reports_numbers_and_each_opens_its_photos(page: Page, confused: Run) -> None:
    table = confused.report.confusion
    assert (table.sum(axis=1) - table.diagonal()).any(), "a set without errors shows nothing"
    for was, said in np.ndindex(*table.shape):
        cells = [element for element in page.elements if element.attributes.get("id") == f"cell-{was}-{said}"]
        assert len(cells) == (1 if table[was, said] else 0)
        links = [element for element in page.of("a") if element.attributes["href"] == f"#cell-{was}-{said}"]
        assert [link.text for link in links] == ([str(table[was, said])] if table[was, said] else [])


def test_numbers_of_the_report_stand_on_the_page(page: Page, confused: Run) -> None:
    text = page.of("main")[0].text
    report = json.loads((confused.folder / "report.json").read_bytes())
    assert f"{100 * report['accuracy']:.1f} %" in text
    assert f"{100 * report['interval'][0]:.1f} to {100 * report['interval'][1]:.1f} %" in text
    assert "broken.jpg" in text
    assert report["advice"]["sentences"][0] in text
    for row in report["per_class"]:
        assert f"{row['f1']:.3f}" in text
    assert confused.classifier.digest in text


def test_the_surest_mistakes_come_with_map_and_neighbours(page: Page, confused: Run) -> None:
    wrong = int((confused.answers.probabilities.argmax(axis=1) != confused.answers.labels).sum())
    cards = page.of("b", "wrong")
    assert len(cards) == min(12, wrong)
    assert page.text.count("what speaks for") == len(cards)
    assert page.text.count('<ul class="near">') == len(cards)


def test_photos_that_it_would_not_name_are_shown(confused: Run, tmp_path: Path) -> None:
    report = json.loads((confused.folder / "report.json").read_bytes())
    run = train(report["data"]["path"], tmp_path / "careful", replace(QUICK, coverage=0.6))
    rows = (run.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    unsure = sum(row.endswith(",unsure") for row in rows)
    page = Page((run.folder / "report.html").read_text(encoding="utf-8"))
    assert 0 < unsure < len(rows) - 1
    assert page.text.count(', unsure"') == min(24, unsure)
    assert f"it calls {unsure} of the photos judged unsure" in page.of("main")[0].text


def test_a_stranger_among_the_photos_judged_is_shown_as_unknown(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_photos(photos / "train", count=12)
    make_photos(photos / "test", count=4, first=50)
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "test" / CLASSES[0] / "stranger.png")
    run = train(photos, tmp_path / "run", QUICK)
    rows = (run.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    unknown = [row for row in rows if row.endswith(",unknown")]
    assert any("stranger.png" in row for row in unknown)
    pixels = np.stack([read(path, run.classifier.geometry) for path in run.answers.names])
    assert [said == "unknown" for said in run.answers.said] == (run.classifier.unknown(pixels) > 1).tolist()
    text = Page((run.folder / "report.html").read_text(encoding="utf-8")).of("main")[0].text
    assert f"it calls {len(unknown)} of the photos judged unknown" in text


def test_the_same_run_gives_the_same_page(confused: Run) -> None:
    source, note = photos_of(confused.folder)
    assert note == ""
    assert run_page(confused.folder, source) == (confused.folder / "report.html").read_text(encoding="utf-8")


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for kind, name in enumerate(HOSTILE):
        folder = photos / name.replace("/", "∕")
        folder.mkdir(parents=True)
        for number in range(4):
            draw(kind % 2, 10 * kind + number).save(folder / f"{number}<i onload=x>&'.jpg")
    page = Page(train(photos, tmp_path / "run", QUICK).folder.joinpath("report.html").read_text(encoding="utf-8"))
    assert not page.of("i")
    assert [row.text for row in page.of("script")] == [page.of("script")[0].text]
    assert all((element.attributes.get("src") or "data:").startswith("data:") for element in page.of("img"))
    assert HOSTILE[0] in page.of("main")[0].text


def test_with_many_classes_confusions_are_listed_instead_of_a_matrix(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(33))
    photos = make_photos(tmp_path / "photos", names, 2)
    page = Page(train(photos, tmp_path / "run", QUICK).folder.joinpath("report.html").read_text(encoding="utf-8"))
    assert any("most frequent confusions" in element.text.lower() for element in page.of("caption"))
    assert not any("Confusion matrix" in element.text for element in page.of("caption"))


def test_a_net_from_pixels_shows_its_curves_and_a_linear_one_its_templates(tmp_path: Path) -> None:
    made = Recipe(net="linear", epochs=3, image_size=16, init="normal", rate=0.003)
    run = train(make_photos(tmp_path / "photos", count=20), tmp_path / "run", made)
    page = Page((run.folder / "report.html").read_text(encoding="utf-8"))
    assert len(page.of("figure", "chart")) >= 3
    assert page.of("ul", "templates")[0].text.count("blue square") == 1
    assert "epochs; the weights of epoch" in page.of("main")[0].text


def test_without_the_photos_words_stand_in_their_place(confused: Run) -> None:
    page = Page(run_page(confused.folder, None))
    assert not [element for element in page.of("img") if "what speaks" not in (element.attributes["alt"] or "")]
    assert page.of("span", "none")


def test_the_page_says_how_to_make_the_run_again(confused: Run, tmp_path: Path, kopal: Kopal) -> None:
    page = Page((confused.folder / "report.html").read_text(encoding="utf-8"))
    command = page.text.split("To make it again</h3>\n<pre>")[1].split("</pre>")[0]
    program, *arguments = shlex.split(html.unescape(command))
    assert program == "kopal"
    assert kopal(*arguments, "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == (confused.folder / "predictions.csv").read_bytes()


def test_a_test_part_that_leaks_is_also_told_without_its_twins(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_photos(photos / "train", count=10)
    make_photos(photos / "test", count=6, first=50)
    for name in ("1.jpg", "2.jpg"):
        shutil.copy(photos / "train" / CLASSES[0] / name, photos / "test" / CLASSES[0] / f"again-{name}")
    page = Page(train(photos, tmp_path / "run", QUICK).folder.joinpath("report.html").read_text(encoding="utf-8"))
    assert "2 of them have a twin that was learned from; without these" in page.of("section")[0].text


def test_a_run_of_a_ladder_shows_the_rungs_beside_it(confused: Run, tmp_path: Path) -> None:
    for name in ("linear-on-pixels", "frozen-features"):
        shutil.copytree(confused.folder, tmp_path / name)
    tables = [element.text for element in Page(run_page(tmp_path / "frozen-features", None)).of("caption")]
    assert any("The ladder" in text for text in tables)
    assert not any("The ladder" in element.text for element in Page(run_page(confused.folder, None)).of("caption"))


def test_report_makes_the_page_again_and_finds_photos_that_have_moved(
    confused: Run, tmp_path: Path, kopal: Kopal
) -> None:
    run = tmp_path / "run"
    shutil.copytree(confused.folder, run)
    (run / "report.html").unlink()
    report = json.loads((run / "report.json").read_bytes())
    moved = tmp_path / "elsewhere"
    shutil.copytree(report["data"]["path"], moved)
    report["data"]["path"] = str(tmp_path / "gone")
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    code, out, _ = kopal("report", run)
    assert code == 0
    assert "--data PHOTOS says where they are" in out
    assert "no picture" in (run / "report.html").read_text(encoding="utf-8")
    code, out, _ = kopal("report", run, "--data", moved)
    assert (code, "note" in out) == (0, False)
    assert "no picture" not in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("report.json", None, "is no finished run: report.json is missing"),
        ("report.json", "{}", "is damaged"),
        ("predictions.csv", "path,truth,predicted,probability\nx,unheard,of,1\n", "is damaged"),
        ("photos.csv", "a,b\n1,2\n", "is damaged"),
    ],
)
def test_a_damaged_run_is_one_error(
    file: str, content: str | None, said: str, confused: Run, tmp_path: Path, kopal: Kopal
) -> None:
    shutil.copytree(confused.folder, tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    if content is not None:
        (tmp_path / "run" / file).write_text(content, encoding="utf-8")
    code, out, err = kopal("report", tmp_path / "run")
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("key", ["accuracy", "confusion", "per_class", "interval", "n"])
def test_a_text_where_a_number_belongs_is_a_damaged_run_too(
    confused: Run, tmp_path: Path, kopal: Kopal, key: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(confused.folder, broken)
    report = json.loads((broken / "report.json").read_text(encoding="utf-8"))
    (broken / "report.json").write_text(json.dumps({**report, key: "high"}), encoding="utf-8")
    code, _, err = kopal("report", broken)
    assert code == 2
    assert "the run in" in err and "is damaged" in err and "Traceback" not in err


def test_pictures_end_where_the_page_would_grow_too_large(confused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import kopal.report.page.thumbnails as module

    assert MOST_BYTES < 4e6
    monkeypatch.setattr(module, "MOST_BYTES", 20_000)
    source, _ = photos_of(confused.folder)
    assert "no picture" in run_page(confused.folder, source)


def test_a_chart_keeps_what_it_draws_inside_its_frame() -> None:
    x, y = Axis("n", 1, 100, logarithmic=True), Axis("share", 0, 1, percent=True)
    drawn = chart(
        "c", x, y, [Line("l", [(0.5, -1), (500, 2)]), Band("b", [(1, -3, 9)]), Dots("d", [Dot(10, 0.5, "w")])]
    )
    numbers = [float(text) for text in re.findall(r"[ML](-?[\d.]+) ", drawn)]
    assert min(numbers) >= 0
    assert max(numbers) <= 560
    assert "<title>w</title>" in drawn


def test_round_numbers_stand_along_the_axes() -> None:
    assert Axis("a", 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Axis("a", 10, 1000, logarithmic=True).ticks() == pytest.approx([10, 20, 50, 100, 200, 500, 1000])
    assert [Axis("a", 0, 1, percent=True).label(0.25)] == ["25%"]


def test_no_dataset_of_that_name_is_one_error(confused: Run, kopal: Kopal) -> None:
    with pytest.raises(UsageError):
        photos_of(confused.folder, "no/such/folder")
    assert kopal("report", confused.folder, "--data", "no/such/folder")[0] == 2
    assert replace(open_dataset("digits"), title="x").origin == "digits"
