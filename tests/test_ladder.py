"""The ladder: every rung on the same photos, resumable, and honest about what was left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import CLASSES, draw, make_photos
from kopal import ladder, rung_costs
from kopal.datasets import open_dataset
from kopal.errors import OutputError
from kopal.fit.loop import Epoch
from kopal.fit.pupil import torch_is_there
from kopal.ladder import climb, in_parts, majority
from kopal.log import Note
from kopal.report.ladder_plot import ladder_picture
from kopal.report.ladder_table import rung_line
from kopal.rung_costs import allotted, least_seconds
from kopal.rungs import STEPS, Rung, Step

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


@pytest.fixture
def lowest(low: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rung, of pixels."""
    monkeypatch.setattr(ladder, "STEPS", LOW[:1])


@pytest.mark.usefixtures("lowest")
def test_a_ladder_of_other_photos_is_refused_and_the_difference_is_named(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", CLASSES, count=8)
    out = tmp_path / "out"
    list(climb(photos, out))
    list(climb(photos, out))  # nothing has changed
    other = make_photos(tmp_path / "other", CLASSES, count=8)
    grouped = open_dataset(photos, group=r"(\d+)\.jpg")
    for data, seed, difference in (
        (other, 0, r"photos of .*photos then, .*other now"),
        (photos, 1, "--seed 0 then, 1 now"),
        (grouped, 0, "--group none then"),
        (open_dataset(photos, labels_from="(.+)/"), 0, "--labels-from none then"),
    ):
        with pytest.raises(OutputError, match=difference) as caught:
            list(climb(data, out, seed=seed))
        assert "choose another --out" in str(caught.value)
    first = photos / CLASSES[0] / "1.jpg"
    kept = first.read_bytes()
    draw(0, 77).save(first)
    with pytest.raises(OutputError, match="the photos, or their classes or parts, have changed"):
        list(climb(photos, out))
    first.write_bytes(kept)
    for number in range(100, 130):
        draw(1, number).save(photos / CLASSES[1] / f"{number}.jpg")
    with pytest.raises(OutputError, match="photos: 24 then, 54 now"):
        list(climb(photos, out))


@pytest.mark.usefixtures("lowest")
@pytest.mark.parametrize("content", ["{", "[]", '{"budgets": 3}', '{"budgets": {"a": "b"}}', "\udcff", "{}"])
def test_a_damaged_ladder_is_refused(content: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "ladder.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(OutputError, match=r"ladder\.json is damaged"):
        list(climb(photos, tmp_path))


@pytest.mark.usefixtures("lowest")
def test_rungs_of_which_nothing_is_known_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "linear-on-pixels").mkdir()
    with pytest.raises(OutputError, match=r"no ladder\.json"):
        list(climb(photos, tmp_path))


def cut_at_the_second_epoch(noun: object) -> None:
    if isinstance(noun, Epoch) and noun.number == 2:
        raise KeyboardInterrupt


@pytest.mark.usefixtures("lowest")
@pytest.mark.parametrize("budget", [60.0, 0.0])
def test_a_rung_that_was_cut_short_goes_on_in_its_own_budget(
    budget: float, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "EPOCHS", 3)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on from there"):
        list(climb(photos, tmp_path, budget, log=cut_at_the_second_epoch))
    told: list[object] = []
    rung = list(climb(photos, tmp_path, budget, log=told.append))[-1]
    assert not rung.left_out
    assert any(isinstance(noun, Note) and noun.text.startswith("going on after epoch") for noun in told)
    assert [noun.number for noun in told if isinstance(noun, Epoch)][-1] == 3


@pytest.mark.usefixtures("lowest")
def test_a_rung_under_way_with_a_larger_budget_than_there_is_is_left_out_and_named(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(climb(photos, tmp_path / "timed", 600.0, log=cut_at_the_second_epoch))
    assert "begun with a budget of " in list(climb(photos, tmp_path / "timed", 60.0))[-1].left_out
    with pytest.raises(KeyboardInterrupt):
        list(climb(photos, tmp_path / "free", log=cut_at_the_second_epoch))
    assert "begun without a budget" in list(climb(photos, tmp_path / "free", 60.0))[-1].left_out


@pytest.mark.usefixtures("low")
def test_what_does_not_fit_the_budget_is_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    rungs = list(climb(folder, tmp_path / "out", budget=1.0))
    assert [bool(rung.left_out) for rung in rungs] == [False, True, True]
    assert "budget" in rung_line(rungs[:2])


NEEDS = {
    "linear on pixels": 8,
    "perceptron": 9,
    "small convolutional net": 100,
    "frozen features": 25,
    "fine-tuned": 60,
}


def climbed(budget: float, needs: dict[str, float] = NEEDS) -> dict[str, float]:
    """The seconds of each rung where every one takes what it is given, but for the frozen features."""
    left, found = budget, {}
    for step in STEPS:
        given, _ = allotted(step, STEPS, needs, left)
        found[step.name] = given
        left -= min(given, needs[step.name]) if step.name == "frozen features" else given
    assert left >= 0
    return found


def test_frozen_features_and_fine_tuning_come_before_rungs_from_pixels() -> None:
    def which(budget: float) -> str:
        return "".join("x" if seconds else "." for seconds in climbed(budget).values())

    assert [which(budget) for budget in (7, 10, 26, 30, 35, 50, 86, 94, 104, 200)] == [
        *(".....", "x....", "...x.", "...x."),
        *("x..x.", "xx.x.", "...xx", "x..xx", "xx.xx", "xx.xx"),
    ]
    assert which(1000) == "xxxxx"


def test_nothing_is_set_aside_for_a_rung_that_is_climbed_already() -> None:
    assert climbed(30, {**NEEDS, "frozen features": 0.0})["linear on pixels"] == 8
    assert climbed(30)["linear on pixels"] == 0


def test_a_rung_that_can_use_it_gets_its_share() -> None:
    assert climbed(1085)["linear on pixels"] == pytest.approx(100)
    free = dict.fromkeys(NEEDS, 0.0)
    assert {allotted(step, STEPS, free, float("inf"))[0] for step in STEPS} == {float("inf")}, "without a budget"


def test_a_cost_grows_with_the_net_and_what_is_known_costs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung_costs, "operation_seconds", lambda: 1e-6)
    dataset = in_parts(open_dataset(folder), 0)
    linear, perceptron, convolutional = (least_seconds(ladder._recipe(step, 0), dataset) for step in STEPS[:3])
    assert linear < perceptron < convolutional
    twice = dataset.sample([*range(len(dataset)), *range(len(dataset))])
    assert least_seconds(ladder._recipe(STEPS[2], 0), twice) == pytest.approx(2 * convolutional, rel=0.2)


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


def test_the_rungs_that_ship_are_climbed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def brief(step: Step) -> Step:
        return replace(step, knobs={**step.knobs, "epochs": 1, "device": "cpu"} if step.knobs else {})

    monkeypatch.setattr(ladder, "STEPS", tuple(map(brief, STEPS)))
    rungs = list(climb(folder, tmp_path))
    assert [rung.name for rung in rungs] == ["the largest class", *(step.name for step in STEPS)]
    assert [rung.name for rung in rungs if rung.left_out] == ([] if torch_is_there() else ["fine-tuned"])
    climbed = [rung for rung in rungs if not rung.left_out]
    assert {rung.n for rung in climbed} == {rungs[0].n}
    assert rungs[4].accuracy == max(rung.accuracy for rung in rungs[:5])
    assert [rung.parameters for rung in rungs[1:4]] == sorted(rung.parameters for rung in rungs[1:4])
    if torch_is_there():
        report = json.loads((tmp_path / "fine-tuned" / "report.json").read_text(encoding="utf-8"))
        assert len(report["kept"]["stages"]) == 4


@pytest.mark.parametrize("budget", [0.0, 60.0])
def test_without_pytorch_the_last_rung_is_left_out_and_named(
    budget: float, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "torch_is_there", lambda: False)
    monkeypatch.setattr(ladder, "STEPS", STEPS[-1:])
    assert list(climb(folder, tmp_path, budget))[-1].left_out == "PyTorch is not installed"


def test_a_probe_is_no_fine_tuned_net(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from kopal.fit import tune

    monkeypatch.setattr(tune, "reach", lambda *given: 0)
    monkeypatch.setattr(ladder, "STEPS", STEPS[-1:])
    for _ in range(2):
        rung = list(climb(folder, tmp_path, budget=600.0))[-1]
        assert rung.left_out.endswith("too few to fine-tune")


@pytest.mark.usefixtures("low")
def test_what_cannot_be_written_is_said_before_the_first_rung(kopal: Kopal, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("mine")
    for options, message in (
        (("--out", tmp_path / "afile", "--plot", tmp_path / "l.svg"), "cannot make the folder"),
        (("--out", tmp_path / "out", "--plot", tmp_path / "afile" / "l.svg"), "no such folder"),
        (("--out", tmp_path / "out", "--plot", tmp_path / "l.txt"), "l.txt"),
    ):
        code, out, err = kopal("ladder", folder, *options)
        assert code == 2
        assert message in err and "the largest class" not in out
    assert (tmp_path / "afile").read_text() == "mine"
    assert not (tmp_path / "l.svg").exists()


@pytest.mark.usefixtures("lowest")
def test_a_folder_that_a_rung_cannot_stand_in_ends_the_climb(kopal: Kopal, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert kopal("ladder", folder, "--out", tmp_path / "out", "--plot", tmp_path / "l.svg")[0] == 0
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "ladder.json").write_bytes((tmp_path / "out" / "ladder.json").read_bytes())
    (tmp_path / "again" / "linear-on-pixels").write_text("a file")
    code, _, err = kopal("ladder", folder, "--out", tmp_path / "again", "--plot", tmp_path / "m.svg")
    assert code == 2 and "is a file" in err
    assert not (tmp_path / "m.svg").exists()


@pytest.mark.usefixtures("lowest")
def test_the_command_says_what_was_climbed_before(kopal: Kopal, folder: Path, tmp_path: Path) -> None:
    arguments = ("ladder", folder, "--out", tmp_path / "out", "--plot", tmp_path / "l.svg")
    assert "climbed before" not in kopal(*arguments)[1]
    assert "linear on pixels: climbed before, taken from" in " ".join(kopal(*arguments)[1].split())
