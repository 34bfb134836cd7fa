"""The ladder: every rung on the same photos, resumable, and honest about what was left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES, make_photos
from kopal import ladder
from kopal.datasets import open_dataset
from kopal.errors import OutputError
from kopal.ladder import climb, in_parts, majority
from kopal.report.ladder_plot import ladder_picture
from kopal.report.ladder_table import rung_line
from kopal.rungs import Rung, Step

Kopal = Callable[..., tuple[int, str, str]]
LOW = (Step("linear on pixels", {"net": "linear", "image_size": 16}, 0.5), Step("frozen features", {}, 1.0))


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "STEPS", LOW)
    monkeypatch.setattr(ladder, "EPOCHS", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_photos(tmp_path_factory.mktemp("ladder") / "photos", CLASSES, count=12)
    (made / CLASSES[0] / "broken.jpg").write_bytes(b"no photo")
    # A twin of a photo must stay on its side.
    (made / CLASSES[1] / "twin.jpg").write_bytes((made / CLASSES[1] / "1.jpg").read_bytes())
    return made


def test_every_class_is_in_every_part_and_twins_stay_together(folder: Path) -> None:
    dataset = in_parts(open_dataset(folder), 0)
    for part in ("train", "calibration", "test"):
        assert min(dataset.counts(part)) >= 1
    twins = [part for name, part in zip(dataset.names, dataset.parts, strict=True) if name.endswith(("twin.jpg",))]
    first = [
        part
        for name, part in zip(dataset.names, dataset.parts, strict=True)
        if Path(name).parent.name == CLASSES[1] and Path(name).name == "1.jpg"
    ]
    assert twins == first
    assert in_parts(open_dataset(folder), 0).parts == dataset.parts
    assert in_parts(dataset, 1) is dataset, "parts that are there are the owner's"


def test_the_lowest_rung_names_the_largest_class(folder: Path) -> None:
    dataset = in_parts(open_dataset(folder), 0)
    rung = majority(dataset)
    largest = max(range(3), key=lambda label: dataset.counts("train")[label])
    assert rung.accuracy == dataset.counts("test")[largest] / sum(dataset.counts("test"))


@pytest.mark.usefixtures("low")
def test_rungs_are_measured_on_the_same_photos_and_taken_up_again(folder: Path, tmp_path: Path) -> None:
    first = list(climb(folder, tmp_path / "out"))
    assert [rung.name for rung in first] == ["the largest class", "linear on pixels", "frozen features"]
    assert len({rung.n for rung in first}) == 1
    assert [rung.parameters for rung in first][1] == 3 * 16 * 16 * 3 + 3 + 3
    tested = [
        {line.split(",")[0] for line in (Path(rung.folder) / "predictions.csv").read_text().splitlines()[1:]}
        for rung in first[1:]
    ]
    assert tested[0] == tested[1] and len(tested[0]) == first[0].n
    before = (Path(first[1].folder) / "model.onnx").stat().st_mtime_ns
    again = list(climb(folder, tmp_path / "out"))
    assert again == first
    assert (Path(again[1].folder) / "model.onnx").stat().st_mtime_ns == before, "climbed once"
    other = make_photos(tmp_path / "other", CLASSES, count=12)
    for data, seed in ((other, 0), (folder, 1)):
        with pytest.raises(OutputError, match="of other photos, or of another seed"):
            list(climb(data, tmp_path / "out", seed=seed))


@pytest.mark.usefixtures("low")
def test_what_does_not_fit_the_budget_is_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    rungs = list(climb(folder, tmp_path / "out", budget=1.0))
    assert [bool(rung.left_out) for rung in rungs] == [False, True, True]
    assert "budget" in rung_line(rungs[:2])


def test_the_line_and_the_picture_of_rungs() -> None:
    rungs = [
        Rung("the largest class", 0.25, (0.2, 0.3), 200, 0.0, 0),
        Rung("linear on pixels", 0.5, (0.43, 0.57), 200, 3.0, 1000),
        Rung("frozen features", 0.9, (0.85, 0.93), 200, 30.0, 4_000_000),
        Rung("fine-tuned", 0.0, (0, 1), 0, 0.0, 0, left_out="PyTorch is not installed"),
    ]
    assert "accuracy" in rung_line(rungs[:1])
    assert "+0.250" in rung_line(rungs[:2])
    assert "+0.400" in rung_line(rungs[:3])
    assert "left out: PyTorch is not installed" in rung_line(rungs)
    picture = ladder_picture(rungs, "<b> & photos", "svg").decode()
    assert "frozen features" in picture and "fine-tuned" not in picture


@pytest.mark.usefixtures("low")
def test_the_command(kopal: Kopal, folder: Path, tmp_path: Path) -> None:
    code, out, err = kopal("ladder", folder, "--out", tmp_path / "out", "--plot", tmp_path / "ladder.png")
    assert code == 0, err
    assert out.count("\n") < 15
    assert "measured on the same" in out
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = kopal("ladder", folder, "--out", tmp_path / "out", "--plot", tmp_path / "ladder.png", "--json")
    assert [row["name"] for row in json.loads(out)][-1] == "frozen features"
    code, _, err = kopal("ladder", tmp_path / "nowhere")
    assert code == 2 and "no such folder" in err
