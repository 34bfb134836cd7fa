"""A model keeps its promises by answering less: with one name, a short list, or "unsure"."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks import file_of, with_card
from conftest import CLASSES, QUICK, make_photos
from kopal.classifier import Classifier, load
from kopal.cli.trust_lines import coverage_lines
from kopal.errors import ModelFileError, UsageError
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.run import Run
from kopal.trust.conformal import coverage_band, fit_sets
from kopal.trust.promise import Promise, make_promise, unsure
from kopal.trust.promise_check import check_coverage, check_floor, check_on_halves, effective
from kopal.trust.selective import Floor

Kopal = Callable[..., tuple[int, str, str]]
TRUST = ("unsure", "why_unsure", "candidates", "unknown", "unknown_score")


def drawn(n: int, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that follow them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.2), n).astype(np.float32)
    return probabilities, (rng.random((n, 1)) < probabilities.cumsum(axis=1)).argmax(axis=1)


@pytest.fixture(scope="module")
def promising(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that promises a coverage; 24 photos are too few for errors below 2 %."""
    recipe = replace(QUICK, coverage=0.9, max_error=0.02)
    return train(photos, tmp_path_factory.mktemp("runs") / "promising", recipe)


def with_thresholds(run: Run, **entries: object) -> Classifier:
    """The same model under a card with other thresholds."""
    return Classifier.from_bytes(with_card(file_of(run.classifier), lambda card: card["thresholds"].update(entries)))


def sets(threshold: float, method: str = "lac", wide: int = 1) -> dict[str, object]:
    return {
        "asked": 0.9,
        "method": method,
        "levels": [0.9],
        "thresholds": [[threshold] * wide],
        "photos": [50] * wide,
        "out_of_fold": False,
    }


@pytest.mark.parametrize(("size", "classes"), [(1, 2), (1, 3), (2, 3), (2, 10), (3, 10)])
def test_one_to_three_names_are_an_answer(size: int, classes: int) -> None:
    assert unsure(size, classes) == ""


@pytest.mark.parametrize(("size", "classes"), [(0, 3), (2, 2), (3, 3), (4, 10), (10, 10)])
def test_no_name_many_or_all_are_none(size: int, classes: int) -> None:
    assert unsure(size, classes)


def test_a_promise_comes_back_from_the_card() -> None:
    probabilities, labels = drawn(800)
    made = make_promise(probabilities, labels, 0.9, "by-class", 0.3)
    assert made.floor
    again = Promise.of_card(json.loads(json.dumps(made.as_thresholds())), 5)
    assert again.as_thresholds() == made.as_thresholds()
    assert "0.9 (by-class)" in again.in_words()
    assert "errors below 0.3" in again.in_words()
    assert Promise.of_card({}, 5) == Promise()


def test_the_check_counts_names_lists_and_refusals() -> None:
    (own, own_labels), (new, new_labels) = drawn(2000), drawn(2000, 1)
    check = check_coverage(make_promise(own, own_labels, 0.9), new, new_labels)
    assert check
    assert check.band[0] <= check.found <= check.band[1]
    assert check.one + check.several + check.unsure == pytest.approx(1)
    size = fit_sets(own, own_labels, "lac").members(new, 0.9).sum(axis=1)
    assert check.one == (size == 1).mean()
    assert check.several == np.isin(size, (2, 3)).mean()


def test_a_model_that_has_grown_worse_falls_out_of_the_band() -> None:
    (own, own_labels), (new, new_labels) = drawn(2000), drawn(2000, 1)
    wrong = np.where(np.arange(2000) % 8 == 0, (new_labels + 1) % 5, new_labels)
    check = check_coverage(make_promise(own, own_labels, 0.9), new, wrong)
    assert check
    assert check.found < check.band[0]
    assert not check.as_json()["kept"]


def test_without_a_test_part_half_of_the_photos_check_the_other() -> None:
    probabilities, labels = drawn(1001)
    check = check_on_halves(make_promise(probabilities, labels, 0.9), probabilities, labels)
    assert check
    assert (check.n, check.calibrated_on) == (501, 500)
    assert check.band[0] <= check.found <= check.band[1]
    assert check_on_halves(make_promise(probabilities, labels), probabilities, labels) is None
    few = check_on_halves(make_promise(probabilities[:24], labels[:24], 0.95), probabilities[:24], labels[:24])
    assert few
    assert (few.n, few.calibrated_on, few.too_few) == (5, 19, 0)


def of_patients(patients: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, labels, groups: how surely a photo shows its class is mostly a matter of the patient."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), each)
    labels = rng.integers(0, 2, len(groups))
    evidence = rng.normal(1.0, 1.0, patients)[groups] + rng.normal(0, 0.3, len(groups))
    right = 1 / (1 + np.exp(-2 * evidence))
    probabilities = np.where(labels[:, None] == [0, 1], right[:, None], 1 - right[:, None])
    return probabilities.astype(np.float32), labels, groups


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_halves(seed: int) -> None:
    probabilities, labels, groups = of_patients(31, 7, seed)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    probabilities, labels, groups = probabilities[shuffled], labels[shuffled], 1000 - 3 * groups[shuffled]
    check = check_on_halves(make_promise(probabilities, labels, 0.9), probabilities, labels, seed, groups)
    assert check
    assert (check.n, check.calibrated_on) == (7 * 15, 7 * 16)
    assert check_on_halves(make_promise(probabilities, labels, 0.9), probabilities, labels, seed).n == 109  # type: ignore[union-attr]


def test_of_whole_groups_the_band_is_as_wide_as_it_must_be_and_of_photos_alone_as_before() -> None:
    found: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(200):
        probabilities, labels, groups = of_patients(40, 20, seed)
        made = make_promise(probabilities, labels, 0.8)
        check = check_on_halves(made, probabilities, labels, seed, groups)
        assert check
        side = np.random.default_rng(seed).permutation(40)[groups] < 20
        narrow = coverage_band(fit_sets(probabilities[side], labels[side], "lac"), 0.8, labels[~side])
        found[True].append(check.band[0] <= check.found <= check.band[1])
        found[False].append(narrow[0] <= check.found <= narrow[1])
        assert check_on_halves(made, probabilities, labels, seed, np.arange(800)) == check_on_halves(
            made, probabilities, labels, seed
        )
    assert np.mean(found[True]) >= 0.95
    assert np.mean(found[False]) < 0.8, "as many independent photos would be a narrower band than whole groups keep to"


def test_halves_of_whole_groups_are_right_where_halves_of_single_photos_flatter() -> None:
    errors: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(60):
        probabilities, labels, groups = of_patients(20, 20, seed)
        fresh, fresh_labels, _ = of_patients(400, 1, 1000 + seed)
        promise = make_promise(probabilities, labels, 0.8)
        truth = check_coverage(promise, fresh, fresh_labels)
        assert truth
        for whole in (True, False):
            check = check_on_halves(promise, probabilities, labels, seed, groups if whole else None)
            assert check
            errors[whole].append(check.found)
    # Single photos of known patients are covered as promised every time, as if other patients were no risk.
    assert np.std(errors[False]) < 0.04
    assert np.std(errors[True]) > 2 * np.std(errors[False])


@pytest.mark.parametrize(
    ("sizes", "speaks"),
    [
        ([400], False),
        ([200, 200], False),
        ([40] * 8, False),  # nine groups are the fewest for 0.9
        ([40] * 20, True),
        ([2000, *[1] * 20], False),
        ([4, 4, 4], False),
        ([2, 2, 2], True),  # too few whatever their groups, and that is said
        ([1] * 400, True),
    ],
)
def test_where_too_few_groups_are_left_nothing_is_said(sizes: list[int], speaks: bool) -> None:
    probabilities, labels = drawn(sum(sizes))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    check = check_on_halves(make_promise(probabilities, labels, 0.9), probabilities, labels, 0, groups)
    assert (check is not None) == speaks


def test_in_each_class_whose_own_threshold_it_is_the_groups_must_be_enough() -> None:
    probabilities, labels = drawn(400, classes=2)
    made = make_promise(probabilities, labels, 0.9, "by-class")
    alone = np.arange(400)
    assert check_on_halves(made, probabilities, labels, 0, alone)
    assert check_on_halves(made, probabilities, labels, 0, np.where(labels == 0, alone % 4, alone)) is None


@pytest.mark.parametrize(
    ("sizes", "count"), [([1] * 7, 7), ([20] * 10, 10), ([100, 1], 1), ([2, 1, 1], 2), ([0, 3], 1), ([], 0)]
)
def test_the_effective_number_of_photos_is_kishs(sizes: list[int], count: int) -> None:
    assert effective(np.array(sizes, np.int64)) == count


def test_with_too_few_photos_it_is_said_that_only_all_classes_are_honest() -> None:
    probabilities, labels = drawn(15)
    check = check_on_halves(make_promise(probabilities, labels, 0.95), probabilities, labels)
    assert check
    assert (check.too_few, check.found, check.unsure) == (15, 1.0, 1.0)
    said = " ".join(" ".join(coverage_lines(check)).split())
    assert "there are 15 photos to calibrate on; below 19 only the set of all classes would be honest" in said


def test_the_floor_is_checked_on_the_test_part() -> None:
    (own, own_labels), (new, new_labels) = drawn(3000), drawn(1000, 1)
    made = make_promise(own, own_labels, max_error=0.1)
    check = check_floor(made, 0.1, 3000, new, new_labels)
    assert check
    assert made.floor
    answered = new.max(axis=1) >= made.floor.confidence
    assert (check.n, check.answered) == (1000, answered.sum())
    assert check.errors == (answered & (new.argmax(axis=1) != new_labels)).sum()
    assert check_floor(make_promise(own, own_labels), 0.0, 3000, new, new_labels) is None


def test_a_model_without_a_promise_answers_as_ever(trained: Run, photos: Path, kopal: Kopal) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    [answer] = trained.classifier.predict_files([one])
    assert (answer.candidates, answer.unsure) == (None, "")
    _, out, _ = kopal("predict", trained.model, one, "--json")
    assert set(json.loads(out)[0]) == {"path", "label", "probability", "top", *TRUST}


def test_any_trained_model_can_keep_another_promise(trained: Run, photos: Path, kopal: Kopal) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    [narrow] = trained.classifier.predict_files([one], coverage=0.5)
    [wide] = trained.classifier.predict_files([one], coverage=0.99)  # of 24 photos only all classes keep that
    assert narrow.candidates is not None
    assert wide.candidates is not None
    assert len(narrow.candidates) <= 1
    assert len(wide.candidates) == 3
    assert wide.unsure == "3 of 3 classes are possible"
    _, out, _ = kopal("predict", trained.model, one, "--coverage", 0.99)
    assert out.split("\t")[1:3] == ["unsure", CLASSES[1]]
    code, _, err = kopal("predict", trained.model, one, "--coverage", 1)
    assert code == 2
    assert "0.995" in err


def test_a_short_list_is_printed_with_its_probabilities(trained: Run, photos: Path) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    [plain] = trained.classifier.predict_files([one], top=3)
    between = 1 - (plain.top[1][1] + plain.top[2][1]) / 2
    [answer] = with_thresholds(trained, coverage=sets(between)).predict_files([one], top=1)
    assert answer.candidates == plain.top[:2]
    assert answer.unsure == ""


def test_text_json_and_csv_tell_the_list(trained: Run, photos: Path, tmp_path: Path, kopal: Kopal) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    [plain] = trained.classifier.predict_files([one], top=3)
    between = 1 - (plain.top[1][1] + plain.top[2][1]) / 2
    with_thresholds(trained, coverage=sets(between)).save(tmp_path / "list.onnx")
    _, out, _ = kopal("predict", tmp_path / "list.onnx", one, "--csv", tmp_path / "out.csv")
    assert out.strip().split("\t")[1::2] == [name for name, _ in plain.top[:2]]
    [row] = csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert row["answer"] == " or ".join(name for name, _ in plain.top[:2])
    _, out, _ = kopal("predict", tmp_path / "list.onnx", one, "--json")
    [answer] = json.loads(out)
    assert answer["candidates"] == [name for name, _ in plain.top[:2]]
    assert (answer["unsure"], answer["why_unsure"]) == (False, "")
    with_thresholds(trained, coverage=sets(-1.0)).save(tmp_path / "none.onnx")
    _, out, _ = kopal("predict", tmp_path / "none.onnx", one, "--json", "--csv", tmp_path / "out.csv")
    [answer] = json.loads(out)
    assert (answer["candidates"], answer["unsure"]) == ([], True)
    assert answer["why_unsure"] == "no class is likely enough"
    assert answer["label"] == CLASSES[1]
    [row] = csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert row["answer"] == "unsure"


def test_below_the_floor_a_model_is_unsure(trained: Run, photos: Path) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    floor = Floor(0.02, 1.0, 200, 150, 0, 0.0198)
    [answer] = with_thresholds(trained, max_error=floor.as_json()).predict_files([one])
    assert "less sure than the 1.000" in answer.unsure
    floor = replace(floor, confidence=0.0)
    [answer] = with_thresholds(trained, max_error=floor.as_json()).predict_files([one])
    assert answer.unsure == ""


def test_training_fits_the_promise_and_says_what_came_of_it(promising: Run, kopal: Kopal, photos: Path) -> None:
    report = json.loads((promising.folder / "report.json").read_text(encoding="utf-8"))
    assert report["coverage"]["promised"] == 0.9
    assert report["coverage"]["n"] == 12
    assert report["coverage"]["out_of_fold"]
    assert report["max_error"]["floor"] is None
    held = load(promising.model).card.thresholds
    assert held["coverage"]["asked"] == 0.9
    assert held["coverage"]["photos"] == [24]
    assert "max_error" not in held
    [answer] = promising.classifier.predict_files([photos / CLASSES[0] / "1.jpg"])
    assert answer.candidates is not None
    code, out, _ = kopal("inspect", promising.model)
    assert code == 0
    assert "promises   sets that hold the true class with chance 0.9 (lac)" in out


def test_the_screen_says_what_was_promised_and_found(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("--effort", "quick", "--coverage", 0.95, "--sets", "aps", "--max-error", 0.02)
    code, out, err = kopal("train", photos, *arguments)
    assert code == 0, err
    for words in (
        "calibration error",
        "Brier score",
        "macro F1",
        "coverage promised 0.95, found",
        "(cross-conformal)",
        "errors below 0.02 cannot be promised from 24 photos",
        "149 sure answers without an error",
    ):
        assert words in " ".join(out.split())


def test_with_a_test_part_the_promise_is_checked_on_it_and_so_does_evaluate(kopal: Kopal, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos" / "train", CLASSES, 8)
    make_photos(tmp_path / "photos" / "val", CLASSES, 5, first=30)
    make_photos(tmp_path / "photos" / "test", CLASSES, 4, first=60)
    run = train(tmp_path / "photos", tmp_path / "out", replace(QUICK, coverage=0.9))
    code, out, _ = kopal("evaluate", run.model, tmp_path / "photos")
    assert code == 0
    assert "coverage promised 0.9, found" in out
    assert run.report.coverage
    assert run.report.coverage.n == 12
    assert run.report.coverage.calibrated_on == 15
    assert not run.report.coverage.out_of_fold


def test_new_photos_are_compared_with_those_of_the_training(
    kopal: Kopal, trained: Run, photos: Path, tmp_path: Path
) -> None:
    make_photos(tmp_path / "alike", CLASSES, 8, first=200)
    code, out, _ = kopal("evaluate", trained.model, tmp_path / "alike", "--json")
    assert code == 0
    value = json.loads(out)
    assert not value["drift"]["alarm"]
    assert "coverage" not in value  # none was promised
    rng = np.random.default_rng(0)
    from PIL import Image

    for name in CLASSES:
        (tmp_path / "noise" / name).mkdir(parents=True)
        for number in range(8):
            noise = np.repeat(rng.integers(0, 256, (90, 120, 1), dtype=np.uint8), 3, axis=2)
            Image.fromarray(noise).save(tmp_path / "noise" / name / f"{number}.png")
    code, out, _ = kopal("evaluate", trained.model, tmp_path / "noise")
    assert code == 0
    assert "the new photos do not look like the training data" in " ".join(out.split())
    _, out, _ = kopal("evaluate", trained.model, photos)
    assert "the training data" not in out  # these are


def test_evaluate_draws_what_can_be_believed(kopal: Kopal, trained: Run, photos: Path, tmp_path: Path) -> None:
    for name, start in (("trust.svg", b"<?xml"), ("trust.png", b"\x89PNG")):
        code, out, err = kopal("evaluate", trained.model, photos, "--plot", tmp_path / name)
        assert code == 0, err
        assert f"drawn in {tmp_path / name}" in out
        assert (tmp_path / name).read_bytes().startswith(start)
    code, _, err = kopal("evaluate", trained.model, photos, "--plot", tmp_path / "trust.gif")
    assert code == 2
    assert "svg" in err


@pytest.mark.parametrize(
    "entries",
    [
        {"coverage": []},
        {"coverage": {}},
        {"coverage": sets(0.5) | {"method": "magic"}},
        {"coverage": sets(0.5) | {"thresholds": [[0.5, 0.5]]}},
        {"coverage": sets(0.5) | {"thresholds": [["often"]]}},
        {"coverage": sets(0.5) | {"levels": [0.9, 0.5], "thresholds": [[0.5], [0.5]]}},
        {"coverage": sets(0.5) | {"levels": [1.5]}},
        {"coverage": sets(0.5) | {"photos": [-1]}},
        {"coverage": sets(0.5, "by-class")},
        {"coverage": sets(float("nan"))},
        {"max_error": 3},
        {"max_error": {"confidence": 0.5}},
        {"max_error": Floor(0.02, 7.0, 1, 1, 1, 0.1).as_json()},
    ],
)
def test_damaged_thresholds_are_refused(
    entries: dict[str, object], trained: Run, photos: Path, tmp_path: Path, kopal: Kopal
) -> None:
    harmed = with_thresholds(trained, **entries)
    with pytest.raises(ModelFileError, match="thresholds are damaged"):
        next(iter(harmed.predict_files([photos / CLASSES[0] / "1.jpg"])))
    harmed.save(tmp_path / "harmed.onnx")
    code, _, err = kopal("predict", tmp_path / "harmed.onnx", photos)
    assert code == 2
    assert "damaged" in err


def test_a_model_without_thresholds_cannot_keep_a_promise(trained: Run, photos: Path) -> None:
    bare = Classifier.from_bytes(
        with_card(file_of(trained.classifier), lambda card: card["thresholds"].pop("coverage"))
    )
    with pytest.raises(UsageError, match="without thresholds"):
        next(iter(bare.predict_files([photos / CLASSES[0] / "1.jpg"], coverage=0.9)))
    [answer] = bare.predict_files([photos / CLASSES[0] / "1.jpg"])
    assert answer.candidates is None


@pytest.mark.parametrize("knobs", [{"coverage": 1.0}, {"coverage": 0.2}, {"max_error": 0.9}, {"sets": "magic"}])
def test_promises_out_of_range_are_usage_errors(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        recipe("quick", **knobs)  # type: ignore[arg-type]


def test_the_knobs_of_promises_are_read_back() -> None:
    made = recipe("quick", coverage=0.9, sets="aps", max_error=0.05)
    assert Recipe.from_json(made.as_json()) == made
