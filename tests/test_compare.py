"""Runs are compared photo by photo, and what is no run is one clear error."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kopal.compare import compare
from kopal.errors import UsageError
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]


def made(folder: Path, right: Sequence[bool], first: int = 0) -> Path:
    """A run's folder with the files that are read: photos from number `first` on, answered so."""
    folder.mkdir()
    rows = [(f"{first + number}.jpg", "cat", "cat" if hit else "dog", "0.9") for number, hit in enumerate(right)]
    with (folder / "predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "truth", "predicted", "probability"), *rows])
    report = {"log_loss": 0.3, "seconds": 2.5, "measured_on": "test part"}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "model.onnx").write_bytes(b"x" * 2_000_000)
    return folder


def test_models_on_the_same_photos_are_compared_where_they_disagree(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.random(400) < 0.8, rng.random(400) < 0.88
    found = compare([made(tmp_path / "one", one), made(tmp_path / "two", two)])
    lost, won = int((one & ~two).sum()), int((two & ~one).sum())
    first, second = found.rows
    assert first.p is None
    assert (second.only_first, second.only_this) == (lost, won)
    assert second.p == pytest.approx(stats.binomtest(lost, lost + won).pvalue)
    assert (first.accuracy, second.accuracy) == (one.mean(), two.mean())
    assert second.interval[0] < second.accuracy < second.interval[1]
    assert (first.n, found.shared, found.note) == (400, 400, "")
    assert first.bytes == 2_000_000


def test_only_shared_photos_are_compared(tmp_path: Path) -> None:
    one = made(tmp_path / "one", [True] * 60)
    two = made(tmp_path / "two", [False] * 60, first=40)
    found = compare([one, two])
    assert found.shared == 20
    assert "compared on the 20 photos that all have answered, of 60, 60" in found.note
    assert [row.accuracy for row in found.rows] == [1, 0]
    assert found.rows[1].p == pytest.approx(2 * 0.5**20)
    apart = compare([one, made(tmp_path / "three", [True] * 5, first=900)])
    assert apart.rows[1].p is None
    assert [row.n for row in apart.rows] == [60, 5]
    assert "different photos" in apart.note


def test_the_command_prints_a_row_a_run_and_json(kopal: Kopal, trained: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.folder, other)
    code, out, err = kopal("compare", trained.folder, other)
    assert code == 0, err
    assert "McNemar" in out
    assert f"{trained.report.accuracy:.3f}" in out
    assert "on the same 24 photos, out of fold" in out
    assert "may be chance" in out
    code, out, _ = kopal("compare", trained.folder, other, "--json")
    value = json.loads(out)
    assert code == 0
    assert value["shared"] == 24
    assert value["runs"][1]["p"] == 1
    assert value["runs"][0]["accuracy"] == trained.report.accuracy
    assert value["runs"][0]["log_loss"] == trained.report.log_loss


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def broken(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (without("report.json"), "is no finished run: report.json is missing"),
        (without("predictions.csv"), "is no finished run: predictions.csv is missing"),
        (without("model.onnx"), "is no finished run: model.onnx is missing"),
        (broken("report.json", "{"), "is damaged"),
        (broken("report.json", "{}"), "is damaged"),
        (broken("report.json", "[]"), "is damaged"),
        (broken("predictions.csv", ""), "is damaged"),
        (broken("predictions.csv", "path,truth\na,b\n"), "is damaged"),
        (broken("predictions.csv", "path,truth,predicted,probability\na,b\n"), "is damaged"),
        (broken("predictions.csv", "path,truth,predicted,probability\na,b,c,often\n"), "is damaged"),
        (shutil.rmtree, "is no finished run: report.json is missing"),
    ],
)
def test_what_is_no_finished_run_is_named_in_one_error(
    kopal: Kopal, tmp_path: Path, harm: Callable[[Path], object], words: str
) -> None:
    sound, other = made(tmp_path / "sound", [True] * 9), made(tmp_path / "other", [True] * 9)
    harm(other)
    code, out, err = kopal("compare", sound, other)
    assert (code, out) == (2, "")
    assert str(other) in err
    assert words in err
    assert "Traceback" not in err


def test_one_run_and_runs_that_disagree_on_a_label_are_errors(kopal: Kopal, tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", [True] * 9), made(tmp_path / "two", [True] * 9)
    assert kopal("compare", one)[0] == 2
    table = (two / "predictions.csv").read_text().replace("3.jpg,cat", "3.jpg,dog")
    (two / "predictions.csv").write_text(table)
    with pytest.raises(UsageError, match=r"3.jpg is 'cat' in .*one and 'dog' in"):
        compare([one, two])
