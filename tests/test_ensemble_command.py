"""kopal ensemble: what it prints, what inspect shows of it, and what it never writes over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from careful import careful
from kopal.audit import marks
from kopal.classifier import Classifier, load
from kopal.ensemble import left_out
from kopal.images import Geometry
from linear_models import model

Kopal = Callable[..., tuple[int, str, str]]

PHOTOS = [bytes([number]) * 32 for number in range(3)]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a.onnx, b.onnx and other.onnx of another geometry."""
    monkeypatch.chdir(tmp_path)
    model(0, photos=3, learned_from=marks(PHOTOS)).save("a.onnx")
    model(1, net="garment", photos=1, learned_from=marks(PHOTOS[:1])).save("b.onnx")
    model(2, geometry=Geometry(9, 9, 3)).save("other.onnx")
    return tmp_path


def test_the_command_says_what_it_made_and_what_to_type_next(kopal: Kopal, files: Path) -> None:
    code, out, err = kopal("ensemble", "a.onnx", "b.onnx", "--out", "both.onnx")
    assert code == 0, err
    for words in ("saved in both.onnx, 0.0 MB", "ensemble of linear and garment, 10 classes", "3 different photos"):
        assert words in out
    assert "predict both.onnx photo.jpg" in out
    code, out, _ = kopal("inspect", "both.onnx", "--verify")
    assert code == 0
    for words in ("net        ensemble of linear and garment", "member 1   linear, 3 photos, sha256 ", "verified"):
        assert words in out
    assert f"member 2   garment, 1 photos, sha256 {load('b.onnx').digest}" in out
    assert kopal("ensemble", "a.onnx", "both.onnx")[1].startswith("saved in ensemble.onnx")
    assert kopal("ensemble", "b.onnx", "both.onnx")[1].startswith("saved in ensemble-2.onnx")


def test_inspect_bears_a_card_whose_members_are_anything(kopal: Kopal, files: Path) -> None:
    model(5, members=["\x1b[31m", {"net": 3}, None, [[]]]).save("odd.onnx")
    code, out, err = kopal("inspect", "odd.onnx")
    assert code == 0, err
    assert "\x1b" not in out
    model(6, members="text").save("odd.onnx")
    assert kopal("inspect", "odd.onnx")[0] == 0


def test_what_members_do_and_the_whole_does_not_is_said_in_one_line(kopal: Kopal, tmp_path: Path) -> None:
    member = careful()
    keys = {
        "unknown": "tell unknown photos",
        "coverage": "promise a coverage",
        "max_error": "promise a share of errors",
    }
    assert set(member.card.thresholds) == set(keys)
    assert left_out([member]) == "tell unknown photos, promise a coverage or promise a share of errors"
    plain = model(0, classes=member.classes, geometry=member.geometry)
    assert left_out([plain]) == ""
    for key, words in keys.items():
        only = {key: member.card.thresholds[key]}
        if key != "unknown":
            assert left_out([plain, Classifier.build(plain.graph(), replace(plain.card, thresholds=only))]) == words
    member.save(tmp_path / "careful.onnx")
    plain.save(tmp_path / "plain.onnx")
    code, out, err = kopal("ensemble", tmp_path / "careful.onnx", tmp_path / "plain.onnx", "--out", tmp_path / "e.onnx")
    assert code == 0, err
    assert f"  it does not {left_out([member])}, as a single model does" in out.splitlines()
    assert not load(tmp_path / "e.onnx").card.thresholds


def test_only_an_earlier_ensemble_is_replaced(kopal: Kopal, files: Path) -> None:
    before = {name: (files / name).read_bytes() for name in ("a.onnx", "b.onnx", "other.onnx")}
    (files / "notes.onnx").write_text("mine")
    (files / "folder.onnx").mkdir()
    for out, words in {
        "a.onnx": "is one of the models",
        "./a.onnx": "is one of the models",
        "other.onnx": "is there and is no ensemble",
        "notes.onnx": "is there and is no ensemble",
        "folder.onnx": "is a folder",
        "both": "--out both",
        ".": "ends in .onnx",
        "": "ends in .onnx",
        "both.txt": "ends in .onnx",
        "nowhere/both.onnx": "no such folder",
    }.items():
        code, _, err = kopal("ensemble", "a.onnx", "b.onnx", "--out", out)
        assert code == 2
        assert words in err
        assert "Traceback" not in err
    assert {name: (files / name).read_bytes() for name in before} == before
    assert (files / "notes.onnx").read_text() == "mine"
    for _ in range(2):
        assert kopal("ensemble", "a.onnx", "b.onnx", "--out", "both.onnx")[0] == 0
    assert "is one of the models" in kopal("ensemble", "a.onnx", "both.onnx", "--out", "both.onnx")[2]


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (["a.onnx"], "ensemble of 1 model"),
        (["a.onnx", "a.onnx"], "the same file"),
        (["a.onnx", "gone.onnx"], "cannot read the model"),
        (["a.onnx", "other.onnx"], "resized to 9 x 9"),
        ([], "models"),
    ],
)
def test_bad_models_end_with_2_and_leave_no_file(kopal: Kopal, files: Path, models: list[str], words: str) -> None:
    code, _, err = kopal("ensemble", *models, "--out", "both.onnx")
    assert code == 2
    assert words in err
    assert not (files / "both.onnx").exists()
