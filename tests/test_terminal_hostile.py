"""Names that anyone may have given, in models, runs, tables and files: no terminal obeys them, and no page."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import draw
from kopal.audit import Audit, Finding
from kopal.classifier import Classifier, load
from kopal.cli import answers
from kopal.cli.output import as_json
from kopal.cli.screen import Screen
from kopal.datasets import open_dataset
from kopal.ledger import LedgerRow
from kopal.log import Ledger, Note
from kopal.model_file import seal
from kopal.prediction import Prediction
from page_reader import Page

Kopal = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not take")

EVIL = "\x1b[31m\x9b2J\x07\r\u202e</script><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\nforged: 1\x7f"
"""Colour, a cleared screen, a bell, a line that is overwritten, letters from right to left, markup, a line of ours."""
FILE = EVIL.replace("/", "∕")
CLASSES = (EVIL, f"pes {EVIL}")

COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "inspect": (0, ("inspect", "evil.onnx")),
    "inspect as JSON": (0, ("inspect", "evil.onnx", "--json")),
    "predict": (1, ("predict", "evil.onnx", "photos", "--all")),
    "predict as JSON": (1, ("predict", "evil.onnx", "photos", "--json")),
    "evaluate": (0, ("evaluate", "evil.onnx", "photos.csv")),
    "evaluate as JSON": (0, ("evaluate", "evil.onnx", "photos.csv", "--json")),
    "evaluate other classes": (2, ("evaluate", "other.onnx", "photos.csv")),
    "explain": (0, ("explain", "runs/evil/model.onnx", "photos/1.jpg", "--out", "why.png")),
    "explain as JSON": (0, ("explain", "runs/evil/model.onnx", "photos/1.jpg", "--json")),
    "explain another class": (2, ("explain", "evil.onnx", "photos/1.jpg", "--class", "cat")),
    "explain what is no photo": (2, ("explain", "evil.onnx", f"photos/{FILE}.png")),
    "compare": (0, ("compare", "runs/evil", f"runs/{FILE}", "--out", "compare.html")),
    "compare two of them": (0, ("compare", f"runs/{FILE}", f"runs/2{FILE}")),
    "compare two truths": (2, ("compare", "runs/evil", "runs/torn")),
    "report": (0, ("report", f"runs/{FILE}")),
    "report without photos": (0, ("report", "runs/moved")),
    "similar": (1, ("similar", "photos.csv", "photos", "--model", "evil.onnx", "--out", "similar.html")),
    "similar as JSON": (1, ("similar", "photos.csv", "photos", "--model", "evil.onnx", "--json")),
    "features": (0, ("features", "photos.csv", "--model", "evil.onnx", "--out", "f.npz")),
    "ensemble": (0, ("ensemble", "evil.onnx", "runs/evil/model.onnx", "--out", "both.onnx")),
    "ensemble of other classes": (2, ("ensemble", "evil.onnx", "other.onnx")),
    "train": (0, ("train", "photos.csv", "--effort", "quick", "--out", "runs/new")),
    "train as before": (2, ("train", "photos.csv", "--like", f"runs/{FILE}")),
    "train as before, a hostile value": (2, ("train", "photos.csv", "--like", "tuned.json")),
    "train by groups": (2, ("train", "photos.csv", "--group", "nothing(.)")),
    "dry run": (0, ("train", "photos.csv", "--dry-run")),
    "audit": (0, ("audit", "photos.csv", "--out", "audit.html")),
    "advise": (0, ("advise", "photos.csv")),
    "a table without labels": (2, ("train", "columns.csv")),
    "a model that is none": (2, ("inspect", f"photos/{FILE}.png")),
    "a folder that is none": (2, ("train", EVIL)),
}
PAGES = {
    "compare": "compare.html",
    "similar": "similar.html",
    "audit": "audit.html",
    "report": f"runs/{FILE}/report.html",
}


def obeyed(text: str, allowed: str = "\n") -> list[str]:
    """What a terminal would obey instead of showing it, and lines that a name has begun."""
    letters = sorted({letter for letter in text if not letter.isprintable() and letter not in allowed})
    return letters + [line for line in text.splitlines() if line.startswith("forged")]


def test_what_a_terminal_obeys_is_seen() -> None:
    assert obeyed("plain\n") == []
    assert obeyed("\x1b[31m") == ["\x1b"]
    assert obeyed("a\tb") == ["\t"]
    assert obeyed("\u202e") == ["\u202e"]
    assert obeyed("name\nforged: x") == ["forged: x"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where all that can bear a name bears a hostile one: photos, classes, a model's card, runs, recipes."""
    from kopal.cli import run

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "photos").mkdir()
    rows = [_photo(folder / "photos", kind, number) for kind in range(2) for number in range(6)]
    (folder / "photos" / f"{FILE}.png").write_bytes(b"no picture")
    rows += [(f"photos/{FILE}.png", EVIL)]
    _write(folder / "photos.csv", ("path", "label", "group"), [(*row, f"{at} {EVIL}") for at, row in enumerate(rows)])
    _write(folder / "columns.csv", ("path", EVIL, f"b{EVIL}"), [(*row, "") for row in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KOPAL_CACHE", "cache")
        assert run(["train", "photos.csv", "--effort", "quick", "--out", "runs/evil"]) == 0
        trained = load("runs/evil/model.onnx")
        _forged(trained).save("evil.onnx")
        other = replace(trained.card, net=EVIL, classes=(f"cat {EVIL}", f"dog {EVIL}"))
        Classifier.from_bytes(seal(trained.graph(), other)).save("other.onnx")
        for name in (FILE, "torn", "moved"):
            shutil.copytree("runs/evil", f"runs/{name}")
        shutil.copy("evil.onnx", f"runs/{FILE}/model.onnx")
        _changed(Path(f"runs/{FILE}/report.json"), measured_on=EVIL, title=EVIL, version=EVIL)
        Path(f"runs/{FILE}/recipe.json").write_text(json.dumps({EVIL: EVIL}), encoding="utf-8")
        shutil.copytree(f"runs/{FILE}", f"runs/2{FILE}")
        Path("tuned.json").write_text(json.dumps({"tune": EVIL}), encoding="utf-8")
        answers = Path("runs/torn/predictions.csv")
        with answers.open(encoding="utf-8", newline="") as lines:
            head, *told = csv.reader(lines)
        _write(answers, head, [(row[0], f"other {EVIL}", *row[2:]) for row in told])
        _changed(Path("runs/moved/report.json"), data={"typed": EVIL, "path": f"gone/{FILE}"})
    return folder


def _photo(folder: Path, kind: int, number: int) -> tuple[str, str]:
    name = f"{6 * kind + number}.jpg" if number else f"{kind}{FILE}.jpg"
    exif = Image.Exif()
    exif[0x010F] = EVIL
    draw(kind, number).save(folder / name, quality=92, exif=exif)
    return f"photos/{name}", CLASSES[kind]


def _write(path: Path, head: Any, rows: Any) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([head, *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _forged(trained: Classifier) -> Classifier:
    """The same model, whose card has been written by someone else."""
    provenance = {
        "recipe": {"init": EVIL, EVIL: [EVIL, {EVIL: EVIL}]},
        "members": [EVIL, {"net": EVIL, "photos": EVIL, "sha256": EVIL}],
        "photos": EVIL,
        EVIL: EVIL,
    }
    thresholds = {**trained.card.thresholds}
    if "unknown" in thresholds:
        thresholds["unknown"] |= {"method": EVIL}
    card = replace(trained.card, net=EVIL, provenance=provenance, thresholds=thresholds)
    return Classifier.from_bytes(seal(trained.graph(), card))


def _changed(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | entries), encoding="utf-8")


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("KOPAL_CACHE", "cache")
    shutil.rmtree("runs/new", ignore_errors=True)
    return home


@pytest.mark.parametrize("wide", [0, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_sends_a_terminal_what_it_would_obey(
    kopal: Kopal, at_home: Path, monkeypatch: pytest.MonkeyPatch, name: str, wide: int
) -> None:
    if wide:
        monkeypatch.setenv("COLUMNS", str(wide))
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: True)
    expected, arguments = COMMANDS[name]
    code, out, err = kopal(*arguments)
    assert code == expected, err
    assert "bug" not in err
    # What is between the columns of an answer.
    assert obeyed(out, "\n\t" if name == "predict" else "\n") == []
    assert obeyed(err) == []
    if "JSON" in name:
        assert EVIL in str(json.loads(out)) or repr(EVIL)[1:-1] in str(json.loads(out))
    if name in PAGES:
        check_page((at_home / PAGES[name]).read_text(encoding="utf-8"), scripts=name in ("compare", "report"))


def check_page(text: str, scripts: bool) -> None:
    """A page's own script and no other, no event, no address but pictures that it holds."""
    page = Page(text)
    assert len(page.of("script")) == scripts
    assert not any("alert" in script.text for script in page.of("script"))
    assert all(str(picture.attributes["src"]).startswith("data:") for picture in page.of("img"))
    assert not any(name.startswith("on") for element in page.elements for name in element.attributes)
    assert obeyed(text) == []
    assert "&lt;script&gt;alert(1)&lt;" in text


def test_a_page_that_lets_markup_through_is_seen() -> None:
    with pytest.raises(AssertionError):
        check_page(f"<html><body>{EVIL.split('</script>', 1)[1]}</body></html>", scripts=False)


def test_a_traceback_is_no_way_around(kopal: Kopal, at_home: Path) -> None:
    code, _, err = kopal("train", "photos.csv", "--like", "tuned.json", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "\\x1b" in err
    assert not [letter for letter in obeyed(err) if len(letter) == 1]


@pytest.mark.parametrize(
    "noun",
    [
        Note(EVIL),
        Ledger((LedgerRow(EVIL, EVIL, "", "damaged", EVIL),), 2),
        Ledger((LedgerRow(EVIL, EVIL, "", "damaged", EVIL),), 2, complete=True),
        Audit(2, (Finding("shortcut", "", (EVIL,), 1.0, EVIL, EVIL), Finding("leak", EVIL, (EVIL,), 1.0, EVIL, EVIL))),
    ],
    ids=lambda noun: type(noun).__name__,
)
def test_what_is_told_on_the_way_holds_nothing_to_obey(noun: object, capfd: pytest.CaptureFixture[str]) -> None:
    with Screen() as screen:
        screen(noun)
    captured = capfd.readouterr()
    assert captured.out
    assert obeyed(captured.out + captured.err) == []


def test_why_a_photo_cannot_be_read_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    assert answers.show([Prediction(EVIL, "", 0.0, (), EVIL)], 1, json=False, csv=None) == 1
    assert obeyed(capfd.readouterr().out, "\n\t") == []


def test_json_is_the_same_value_without_control_characters() -> None:
    for text in (EVIL, "kočka 🐈", "\u2028\U000e0001\x7f\x80\x9f\udcff", "\\x7f \\"):
        for indent in (None, 2):
            written = as_json({text: [text]}, indent)
            assert json.loads(written) == {text: [text]}
            assert obeyed(written) == []


@pytest.mark.parametrize("as_lines", [True, False])
def test_the_lines_of_serve_hold_nothing_to_obey(as_lines: bool, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    from kopal.cli.serving_lines import screen
    from kopal.serve import Settings
    from kopal.serve.app import Served
    from kopal.serve.server import Listening, Ready, Stopping

    log = screen(f"runs/{FILE}/model.onnx", Settings(), log_json=not as_lines)
    told = Served("id", EVIL, EVIL, EVIL, 200, 0.1, 1, 1)
    for noun in (Listening("127.0.0.1", 8000), Ready(0.1), Note(EVIL), told, Stopping()):
        log(noun)
    out = capfd.readouterr().out
    assert len(out.splitlines()) == 5
    assert obeyed(out) == []
    if not as_lines:
        assert [json.loads(line) for line in out.splitlines()][2]["text"] == EVIL


def test_a_set_whose_names_are_hostile_is_opened_as_it_is(at_home: Path) -> None:
    assert open_dataset("photos.csv").classes == tuple(sorted(CLASSES))
